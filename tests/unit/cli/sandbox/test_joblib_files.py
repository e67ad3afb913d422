from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import revealing
from estimators import FLATS, NAMES, POINTS
from pilotlight.errors import UnsafePickle
from pilotlight_cli.formats.admitted import admitted_globals
from pilotlight_cli.formats.recognition import decompress
from pilotlight_cli.sandbox.child.joblib import load

ADMITTED = admitted_globals()


class Hostile:
    """Makes a folder when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.marker),)


def dumped(value: object, protocol: int | None = None) -> bytes:
    out = BytesIO()
    joblib.dump(value, out, protocol=protocol)
    return out.getvalue()


@pytest.fixture
def old_joblib(monkeypatch: pytest.MonkeyPatch) -> None:
    """joblib before 1.6: it wrote arrays of objects with protocol 2."""
    dump = pickle.dump
    monkeypatch.setattr(pickle, "dump", lambda value, file, protocol: dump(value, file, protocol=2))  # noqa: ARG005


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3), ("lz4", 3)])
def test_a_forest_is_read_in_every_compression(compress: object, tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), RandomForestClassifier(3)).fit(POINTS, NAMES)
    joblib.dump(model, tmp_path / "model", compress=compress)
    found, asked = load(decompress(tmp_path / "model"), ADMITTED)
    assert found.predict_proba(POINTS).tolist() == model.predict_proba(POINTS).tolist()
    assert "sklearn.tree._tree.Tree" in asked
    assert not any("joblib" in name for name in asked)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(24).reshape(2, 3, 4)[:, ::2],
        np.array(5.0),
        np.zeros((0, 4)),
        np.array(["a", "longer"]),
        np.array(["a", None, 1.5, (1, 2)], dtype=object),
        np.array([[b"bytes"], ["text"]], dtype=object),
        np.array([(1, 2.0)], dtype=[("a", ">i4"), ("b", "f8")]),
    ],
)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_between_the_opcodes_come_back(array: Any, protocol: int) -> None:
    found, _ = load(dumped([array, "after"], protocol), ADMITTED)
    np.testing.assert_array_equal(found[0], array)
    assert (found[0].dtype, found[1]) == (array.dtype, "after")
    assert found[0].flags.writeable


@pytest.mark.parametrize("protocol", [0, 1, 2])
@pytest.mark.parametrize(
    "value",
    [
        RandomForestClassifier(2, random_state=0),
        make_pipeline(StandardScaler(), RandomForestClassifier(2, random_state=np.random.RandomState(0))),
    ],
)
def test_a_pickle_of_an_old_protocol_is_read(value: Any, protocol: int) -> None:
    model = value.fit(POINTS, NAMES)
    found, asked = load(pickle.dumps(model, protocol), ADMITTED)
    assert found.predict_proba(POINTS).tolist() == model.predict_proba(POINTS).tolist()
    assert "builtins.object" not in asked or protocol < 2
    assert not any(name.startswith(("copy_reg", "_codecs", "__builtin__")) for name in asked)


PLAIN = [
    *(
        None,
        True,
        False,
        0,
        -1,
        2**31,
        -(2**31) - 1,
        2**100,
        1.5,
        -0.0,
        float("inf"),
        "",
        "text\n\\ü\U0001f600",
        b"",
        b"\xff",
    ),
    *(
        [],
        {},
        (),
        [1, [2]],
        {"a": {"b": 1}},
        (1, 2, 3, 4),
        {1, 2},
        frozenset([3]),
        range(3),
        slice(1, 2),
        complex(1, 2),
    ),
]


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_values_of_an_old_protocol_come_back(protocol: int) -> None:
    found, _ = load(pickle.dumps([PLAIN, PLAIN], protocol), ADMITTED)
    assert found == [PLAIN, PLAIN]
    assert [type(value) for value in found[0]] == [type(value) for value in PLAIN]


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_a_hostile_object_is_refused_in_every_old_protocol(protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with pytest.raises(UnsafePickle, match=r"posix\.mkdir"):
        load(pickle.dumps([1, Hostile(marker)], protocol), ADMITTED)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"(iposix\nmkdir\n.", "INST at byte .* refused"),
        (b"(cposix\nmkdir\nV/tmp\no.", "OBJ at byte|posix.mkdir"),
        (b"S'text'\n.", "STRING at byte .* refused"),
        (b"(I1\nl.", "LIST at byte .* refused"),
        (b"V" + b"a" * 10, "not a complete pickle"),
        (b"L" + b"9" * 5000 + b"L\n.", "not a complete pickle"),
        (b"L" + str(2**3000).encode() + b"L\n.", "not a complete pickle"),
        (b"ccopy_reg\n_reconstructor\n(c__builtin__\nint\nc__builtin__\nint\nI5\ntR.", "extends object alone"),
        (b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.", "objects of this class are not"),
        (b"ccopy_reg\n_reconstructor\n(VRidge\nc__builtin__\nobject\nNtR.", "expected a class by its name"),
    ],
)
def test_an_old_pickle_that_no_model_needs_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(UnsafePickle, match=why):
        load(content, ADMITTED)


@pytest.mark.usefixtures("old_joblib")
@pytest.mark.parametrize("array", [np.array(["a", None, 1.5], object), np.array([{1}, b"bytes", 2**70], object)])
def test_arrays_of_objects_of_an_older_joblib_come_back(array: Any) -> None:
    content = dumped(array)
    assert b"\x80\x02" in content
    np.testing.assert_array_equal(load(content, ADMITTED)[0], array)


def test_the_categories_of_an_encoder_are_read(tmp_path: Path) -> None:
    encoder = OneHotEncoder().fit(FLATS[["city"]].astype(object))
    joblib.dump(encoder, tmp_path / "encoder")
    assert load(decompress(tmp_path / "encoder"), ADMITTED)[0].categories_[0].tolist() == ["Bath", "Ely", "Hull"]


@pytest.mark.parametrize("wrap", [lambda item: item, lambda item: np.array([item], object)])
def test_a_hostile_object_is_refused_wherever_it_stands(wrap: Callable[[Any], Any], tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    content = dumped([np.zeros(3), wrap(Hostile(marker))])
    with pytest.raises(UnsafePickle, match=r"posix\.mkdir"):
        load(content, ADMITTED)
    assert not marker.exists()
    joblib.load(BytesIO(content))
    assert marker.exists(), "joblib itself would have run it"


@pytest.mark.usefixtures("old_joblib")
def test_a_hostile_object_is_refused_in_an_older_pickle_too(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with pytest.raises(UnsafePickle, match=r"posix\.mkdir"):
        load(dumped(np.array([Hostile(marker)], object)), ADMITTED)
    assert not marker.exists()


def test_the_names_of_a_nested_pickle_are_told() -> None:
    content = dumped(np.array([slice(1)], object))
    assert "builtins.slice" in load(content, ADMITTED)[1]
    with pytest.raises(UnsafePickle, match=r"builtins\.slice"):
        load(content, ADMITTED - {"builtins.slice"})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda content: content[:-40], "ends after"),
        (lambda content: content + b"more", "unexpected data after the end"),
        (lambda content: content.replace(b"K\x07", b"K\x08"), "refused|not a whole|ends|fit|is not|cannot"),
    ],
)
def test_an_altered_file_is_refused(change: Callable[[bytes], bytes], why: str) -> None:
    with pytest.raises(UnsafePickle, match=why):
        load(change(dumped([np.ones(7)])), ADMITTED)


@pytest.mark.parametrize("holder", revealing.HOLDERS)
def test_a_file_that_holds_an_address_is_refused(holder: str) -> None:
    with pytest.raises(UnsafePickle, match="__array_interface__"):
        load(revealing.files(holder)["joblib"], admitted_globals())


@pytest.mark.parametrize("shape", [(9, 0), (0, 9)])
def test_an_empty_array_of_endless_length_is_refused(shape: tuple[int, int]) -> None:
    content = dumped([np.zeros(shape)])
    assert load(content, ADMITTED)[0][0].shape == shape
    with pytest.raises(UnsafePickle, match="has no valid shape and datatype"):
        load(content.replace(b"K\x09", b"J\xff\xff\xff\x7f"), ADMITTED)


def test_only_the_wrapper_of_joblib_is_known() -> None:
    content = dumped([np.ones(3)]).replace(b"NumpyArrayWrapper", b"NumpyArrayBrapper")
    with pytest.raises(UnsafePickle, match=r"joblib\.numpy_pickle\.NumpyArrayBrapper"):
        load(content, ADMITTED)
