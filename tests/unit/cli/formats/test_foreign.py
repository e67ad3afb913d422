"""Files that are no model that Pilotlight serves: each is named as what it is, with what to do."""

from __future__ import annotations

import io
import json
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import models
from estimators import NAMES, POINTS
from pilotlight_cli.formats.recognition import NotRecognised, recognise
from pilotlight_cli.sandbox.inspection import recognise_file
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources.files import local
from pilotlight_cli.sources.layouts import take

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 71515\n"
SAFETENSORS = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()


@pytest.mark.parametrize(
    ("content", "what", "way"),
    [
        (POINTER, "a pointer of Git LFS", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html>", "an HTML page", "download the file itself"),
        (b"\n <HTML lang='en'>", "an HTML page", "download the file itself"),
        (
            b'<?xml version="1.0"?>\n<PMML xmlns="http://www.dmg.org/PMML-4_4">',
            "a PMML file",
            "export the model to ONNX",
        ),
        (b"\x1c\0\0\0TFL3\x14\0", "a TensorFlow Lite model", "--tflite FILE"),
        (b"\x93NUMPY\x01\0v\0{'descr'", "an array of numpy", "publish the model itself"),
        (b"GGUF\x03\0\0\0", "a GGUF file", "a server for language models"),
        (struct.pack("<Q", len(SAFETENSORS)) + SAFETENSORS + bytes(4), "a safetensors file", "export that to ONNX"),
        (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file", r"model\.save\('model\.keras'\)"),
        (
            b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
            r"a file of torch\.save",
            "torch.onnx.export",
        ),
        (b"\x08\x01\x12\xb0\x02\n\x1d", "the graph of a TensorFlow SavedModel", "--saved-model FOLDER"),
    ],
)
def test_a_file_of_another_kind_is_named(content: bytes, what: str, way: str, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(NotRecognised, match=rf"^model\.bin is {what}.*; .*{way}"):
        recognise(path)


@pytest.mark.parametrize(
    ("names", "what", "way"),
    [
        (
            ["net/data.pkl", "net/version", "net/data/0"],
            "a pickle of PyTorch",
            r"export the network there: torch\.export\.save",
        ),
        (
            ["net/data.pkl", "net/constants.pkl", "net/code/net.py"],
            "a TorchScript model of PyTorch",
            "pilotlight convert model.zip",
        ),
        (
            ["net/archive_format", "net/models/model.json"],
            "an ExportedProgram of PyTorch",
            "pilotlight convert model.zip",
        ),
        (["metadata.json", "config.json", "model.weights.h5"], "a Keras model", "pilotlight convert model.zip"),
        (["x.npy", "y.npy"], "a file of numpy's arrays", "publish the model"),
        (["c", "a", "d", "b"], "a zip file with a, b, c in it", "or another model"),
        ([], "a zip file with nothing in it", "or another model"),
    ],
)
def test_a_zip_file_of_another_kind_is_named(names: list[str], what: str, way: str, tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, '{"keras_version": "3.15.1"}')
    if not names:
        path.write_bytes(b"PK\x03\x04" + path.read_bytes())
    with pytest.raises(NotRecognised, match=rf"^model\.zip is {what}.*; .*{way}"):
        recognise(path)


def test_numpys_own_archives_are_named(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez(content, x=np.arange(3))
    path = tmp_path / "model.npz"
    path.write_bytes(content.getvalue())
    with pytest.raises(NotRecognised, match="numpy's arrays"):
        recognise(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["onnx", "skops"])
def test_a_truncated_file_is_called_so(kind: str, share: float, tmp_path: Path) -> None:
    content = models.sample().files[kind].read_bytes()
    path = tmp_path / "model"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(NotRecognised, match=r"^model is an? (ONNX model that is|zip file that was) truncated.*; copy"):
        recognise(path)


def test_a_pickle_that_ends_before_its_version_is_called_truncated(tmp_path: Path) -> None:
    content = pickle.dumps(LogisticRegression().fit(POINTS, NAMES), 5)
    path = tmp_path / "model.pkl"
    path.write_bytes(content[: content.index(b"_sklearn_version")])
    with pytest.raises(NotRecognised, match=r"model\.pkl is a pickle that was truncated; copy or save it again"):
        recognise(path)


def test_an_empty_file_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    with pytest.raises(NotRecognised, match=r"^model\.onnx is empty, expected a model"):
        recognise(path)


def test_the_parts_of_a_keras_model_are_packed_by_the_command_that_is_named(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    for name in ("config.json", "metadata.json", "model.weights.h5"):
        (parts / name).write_text('{"keras_version": "3.15.1"}')
    with pytest.raises(NotRecognised) as caught:
        take(local(parts), "")
    command = re.search(r"python (-m zipfile .*) && pilotlight", str(caught.value))
    assert command
    subprocess.run([sys.executable, *command[1].split()], cwd=tmp_path, check=True)
    with pytest.raises(NotRecognised, match=r"model\.keras is a Keras model"):
        recognise(tmp_path / "model.keras")


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder, expected a model file"):
        recognise_file(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    with pytest.raises(
        UsageError, match=r"is a TensorFlow SavedModel; convert it .*: python -m tf2onnx\.convert --saved-model /"
    ):
        recognise_file(tmp_path)
