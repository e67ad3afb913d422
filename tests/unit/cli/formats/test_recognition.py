from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pytest
import sklearn
import skops.io
from onnx import helper
from sklearn.linear_model import LogisticRegression

import models
from estimators import NAMES, POINTS
from onnx_hiding import PLACES
from onnx_models import external, with_external_data
from pilotlight.errors import ModelError
from pilotlight_cli.converting.sources import describe
from pilotlight_cli.formats import recognition
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.formats.recognition import (
    LZ4_PACKAGES,
    NotRecognised,
    Recognised,
    decompress,
    read_recognised,
    recognise,
    write_recognised,
)

MODEL = LogisticRegression().fit(POINTS, NAMES)
PICKLE = pickle.dumps(MODEL, 5)


def alone(content: bytes) -> bytes:
    """As joblib writes .lzma."""
    return lzma.compress(content, lzma.FORMAT_ALONE)


def written(folder: Path, content: bytes, name: str = "model") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_pickle_is_known_by_its_content_whatever_it_is_called(protocol: int, tmp_path: Path) -> None:
    found = recognise(written(tmp_path, pickle.dumps(MODEL, protocol), "model.onnx"))
    assert (found.kind, found.sklearn, found.numpy_major) == ("pickle", sklearn.__version__, 2)


@pytest.mark.parametrize("protocol", [0, 1, 2])
@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: {"model": model}, lambda model: (model, 1)])
def test_an_old_pickle_is_known_and_will_be_saved_again(
    wrap: Callable[[object], object], protocol: int, tmp_path: Path
) -> None:
    found = recognise(written(tmp_path, pickle.dumps(wrap(MODEL), protocol)))
    assert (found.kind, found.sklearn, found.numpy_major) == ("joblib", sklearn.__version__, 2)


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3), ("lz4", 3)])
def test_a_joblib_file_is_known_in_every_compression(compress: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    joblib.dump(MODEL, path, compress=compress)
    found = recognise(path)
    assert (found.kind, found.sklearn) == ("joblib", sklearn.__version__)
    assert found.lz4 is (compress == ("lz4", 3))


def test_an_lz4_file_is_unpacked_where_lz4_is() -> None:
    unpacked = KINDS["joblib"].requirements("model", Recognised("joblib", sklearn.__version__, lz4=True))
    assert set(LZ4_PACKAGES) <= set(unpacked)
    assert not set(LZ4_PACKAGES) & set(KINDS["joblib"].requirements("model", Recognised("joblib", sklearn.__version__)))


@pytest.mark.parametrize("compress", [zlib.compress, gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_pickle_counts_as_a_joblib_file(compress: object, tmp_path: Path) -> None:
    path = written(tmp_path, compress(PICKLE))  # type: ignore[operator]
    assert recognise(path).kind == "joblib"
    assert decompress(path) == PICKLE


@pytest.mark.parametrize("protocol", range(6))
def test_convert_takes_for_a_pickle_what_publish_does(protocol: int, tmp_path: Path) -> None:
    for model in (MODEL, {"model": MODEL}, [MODEL], (MODEL, 1)):
        path = written(tmp_path, pickle.dumps(model, protocol))
        assert describe(path).versions["scikit-learn"] == recognise(path).sklearn


@pytest.mark.parametrize("content", [b"column,other\n1,2\n", b"(not a pickle", gzip.compress(b"hello", mtime=0)])
def test_convert_refuses_as_publish_does(content: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    with pytest.raises(NotRecognised) as published:
        recognise(path)
    with pytest.raises(NotRecognised) as converted:
        describe(path)
    assert str(converted.value) == str(published.value)


def test_a_pickle_of_numpy_1_is_told_by_its_names(tmp_path: Path) -> None:
    content = pickle.dumps(MODEL, 3).replace(b"numpy._core.", b"numpy.core.")
    assert recognise(written(tmp_path, content)).numpy_major == 1


def test_a_skops_file_is_known_by_its_schema(tmp_path: Path) -> None:
    found = recognise(written(tmp_path, skops.io.dumps(MODEL), "model.zip"))
    assert (found.kind, found.sklearn) == ("skops", sklearn.__version__)


def test_an_onnx_file_is_known_with_its_classes(tmp_path: Path) -> None:
    found = recognise(models.three_classes(tmp_path).files["onnx"])
    assert (found.kind, found.labels, found.external_files) == ("onnx", (1, 2, 3), ())


def test_the_strings_that_an_onnx_file_knows_are_found(tmp_path: Path) -> None:
    assert recognise(models.rents(tmp_path).files["onnx"]).vocabulary == models.CITIES


@pytest.mark.parametrize("compress", [zlib.compress, gzip.compress, bz2.compress, lzma.compress, alone])
def test_a_file_that_unpacks_to_far_more_than_it_has_is_refused(
    compress: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "LEAST", 10**6)
    path = written(tmp_path, compress(PICKLE + bytes(20_000_000)))
    with pytest.raises(
        NotRecognised, match=r"model has \d+ bytes and unpacks to more than \d+, expected at most 200 times its size"
    ):
        recognise(path)


def test_a_header_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, b"\x5d\0\0\0\x80" + b"\xff" * 8 + alone(PICKLE)[13:])
    with pytest.raises(NotRecognised, match="cannot be decompressed: Memory usage limit exceeded"):
        recognise(path)


def test_a_zip_file_that_unpacks_to_far_more_than_it_has_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "LEAST", 10**6)
    path = tmp_path / "model.skops"
    path.write_bytes(skops.io.dumps(MODEL))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.npy", bytes(20_000_000))
    with pytest.raises(NotRecognised, match=r"unpacks to more than \d+, expected at most 200 times its size"):
        recognise(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_file_with_two_files_of_one_name_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, "schema.json", "{}")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("schema.json", "{}")
    with pytest.raises(NotRecognised, match="has duplicate file names"):
        recognise(path)


@pytest.mark.parametrize(("field", "value", "why"), [(8, 1, "encrypted"), (10, 99, "compression method")])
def test_a_zip_file_that_cannot_be_unpacked_is_refused(field: int, value: int, why: str, tmp_path: Path) -> None:
    path = zipped(tmp_path, "schema.json", "{}")
    content = bytearray(path.read_bytes())
    content[field - 2] = content[content.index(b"PK\x01\x02") + field] = (
        value  # the file's own header and the directory
    )
    path.write_bytes(content)
    with pytest.raises(NotRecognised, match=f"not a skops file: .*{why}"):
        recognise(path)


def zipped(folder: Path, name: str, content: str) -> Path:
    path = folder / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"hello, I am a model", "not a model file that Pilotlight serves"),
        (b"\x08\x07\x12\x00", "not a model file that Pilotlight serves"),
        (b"\x04\x22\x4d\x18rest", "looks compressed but cannot be decompressed"),
        (b"(not a pickle at all", "not a model file that Pilotlight serves"),
        (pickle.dumps({"a": 1}, 0), "holds no scikit-learn estimator"),
        (b'{"learner":{"attributes":{}}}', "an XGBoost model; convert it first: pilotlight convert model model.onnx"),
        (b"{L\0\0\0\0\0\0\0\x07learner{}", "an XGBoost model; convert it first"),
        (b"tree\nversion=v4\n", "a LightGBM model; convert it first"),
        (b"CBM1\x10)\0\0", "a CatBoost model; convert it first"),
        (b"\x80\x04\x8c\x0exgboost.sklearn\x94.", "a pickle of XGBoost; convert it first"),
        (PICKLE[:-1] + b"\x8c\x0cxgboost.core\x8c\x09bytearray.", "a pickle of XGBoost; convert it first"),
        (b"\x80\x04\x8c\x0elightgbm.basic\x94.", "a pickle of LightGBM; convert it first"),
        (b"\x80\x04\x8c\x0dcatboost.core\x94.", "a pickle of CatBoost; convert it first"),
        (b"ZFfile", "a file of joblib before 0.10"),
        (pickle.dumps({"a": 1}), "holds no scikit-learn estimator"),
        (PICKLE + PICKLE.replace(sklearn.__version__.encode(), b"1.0.2"), "objects of scikit-learn 1.0.2, "),
        (gzip.compress(b"hello", mtime=0), "its content is not a pickle"),
        (gzip.compress(PICKLE, mtime=0)[:-30], "is truncated"),
        (gzip.compress(PICKLE, mtime=0)[:40] + b"\xff" * 40, "cannot be decompressed"),
        (bz2.compress(PICKLE)[:100] + b"\0" * 300, "cannot be decompressed|truncated"),
    ],
)
def test_what_is_no_model_is_refused_with_a_reason(content: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(NotRecognised, match=why):
        recognise(written(tmp_path, content))


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"config.json": "{}", "metadata.json": '{"keras_version": "3.15.1"}'}, "a Keras model"),
        ({"net/data.pkl": "", "net/code/__torch__.py": "", "net/version": "3"}, "a TorchScript model of PyTorch"),
        ({"net/archive_format": "pt2", "net/models/model.json": "{}"}, "an ExportedProgram of PyTorch"),
    ],
)
def test_a_zip_file_of_another_library_is_named_with_its_way(files: dict[str, str], what: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(NotRecognised, match=f"net.zip is {what}; convert it first: pilotlight convert net.zip"):
        recognise(tmp_path / "net.zip")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("schema.json", "{", "not a skops file"),
        ("schema.json", "[" * 200_000, "not a skops file: .*recursion"),
        ("schema.json", "1" * 200_000, "not a skops file: .*digits"),
        ("schema.json", json.dumps({"content": []}), "no scikit-learn estimator"),
    ],
)
def test_a_zip_file_that_is_no_model_is_refused(name: str, content: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(NotRecognised, match=why):
        recognise(zipped(tmp_path, name, content))


def test_files_with_external_data_belong_to_a_model(tmp_path: Path) -> None:
    (tmp_path / "vector.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    assert recognise(with_external_data(tmp_path, "vector.bin")).external_files == (tmp_path / "vector.bin",)


@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_found_in_every_place(place: str, tmp_path: Path) -> None:
    (tmp_path / "vector.bin").write_bytes(bytes(16))
    path = written(tmp_path, PLACES[place]("vector.bin").SerializeToString(), "model.onnx")
    assert recognise(path).external_files == (tmp_path / "vector.bin",)


def test_a_file_that_no_protocol_buffer_can_be_is_told_what_to_do(tmp_path: Path) -> None:
    path = models.plain_tensors(tmp_path)
    with path.open("ab") as file:
        file.write(b"\x72\x80\x80\x80\x80\x08")  # a field of 2 GiB, which takes no place on the disk
        file.truncate(file.tell() + 2**31)
    with pytest.raises(
        NotRecognised, match=r"has 214748\d+ bytes, expected at most 2147483647, .*; save it with external data"
    ):
        recognise(path)


@pytest.mark.parametrize(
    "location", ["../vector.bin", "/etc/passwd", "a/../../vector.bin", "a//b", "..", "", "a\\b", "x" * 129]
)
def test_external_data_outside_of_the_folder_is_refused(location: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected a file in the model's folder or below it"):
        recognise(with_external_data(tmp_path, location))


@pytest.mark.parametrize(
    ("location", "stored"),
    [
        ("weights/vector.bin", "weights-vector.bin"),
        ("./vector.bin", "0-vector.bin"),
        ("Gewichte für 1.bin", "Gewichte-f--r-1.bin"),
    ],
)
def test_external_data_below_the_folder_gets_a_name_for_the_store(location: str, stored: str, tmp_path: Path) -> None:
    file = tmp_path / location
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(bytes(16))
    found = recognise(with_external_data(tmp_path, location))
    assert found.external_files == (file,)
    assert found.external_names == (stored,)
    assert [name for _, name in found.places] == [stored]
    assert read_recognised(json.loads(json.dumps(write_recognised(found)))) == found


def test_two_names_that_a_store_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    model = onnx.load(with_external_data(tmp_path, "a/b"), load_external_data=False)
    model.graph.initializer.append(external("a-b"))
    path = written(tmp_path, model.SerializeToString(), "model.onnx")
    with pytest.raises(NotRecognised, match="external data in a-b, a/b, of which two would have one name in a store"):
        recognise(path)


def test_external_data_in_a_pipe_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    path = with_external_data(tmp_path, "vector.bin")
    os.mkfifo(tmp_path / "vector.bin")
    with pytest.raises(NotRecognised, match=r"vector\.bin, but there is no such file"):
        recognise(path)


def test_the_strings_of_an_onnx_file_are_some(tmp_path: Path) -> None:
    words = [f"word{index:06}" for index in range(20_000)]
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", keys_strings=[*words, "x" * 2000])
    path = written(tmp_path, helper.make_model(helper.make_graph([node], "words", [], [])).SerializeToString())
    assert recognise(path).vocabulary == tuple(words[:10_000])


@pytest.mark.parametrize("name", ["onnx", "skops", "pickle"])
def test_what_was_found_is_the_same_after_its_way_through_a_file(name: str, tmp_path: Path) -> None:
    found = recognise(models.rents(tmp_path).files[name])
    assert found.size > 0
    assert read_recognised(json.loads(json.dumps(write_recognised(found)))) == found


def test_a_model_that_names_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRecognised, match=r"model\.onnx names itself as external data, expected another file"):
        recognise(with_external_data(tmp_path, "model.onnx"))


def test_external_data_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotRecognised, match=r"external data in vector\.bin, but there is no such file beside it"):
        recognise(with_external_data(tmp_path, "vector.bin"))
