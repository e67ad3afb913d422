"""The names in a pickle, listed without loading it."""

from __future__ import annotations

import contextlib
import gzip
import io
import pickle
import zipfile
from collections import OrderedDict
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from boosters import data
from pickles import executing
from pilotlight.errors import UnsafePickle
from pilotlight_cli.converting.names import of_archive, of_pickle

OBJECTS: dict[str, Any] = {
    "plain": [1, "a", {"b": 2.0}, (None, True), {3}],
    "made": [OrderedDict(a=Decimal("1.5")), partial(print, 1), {Decimal(1)}, range(3)],
    "forest": RandomForestClassifier(3).fit(*data()),
    "texts": make_pipeline(TfidfVectorizer(), RandomForestClassifier(2)).fit(["good film", "bad film"], ["a", "b"]),
    "arrays": {"numbers": np.arange(1000.0), "texts": np.array(["a", "bcd"]), "objects": np.array([Decimal(1), None])},
}

# What joblib writes arrays with instead.
OF_ARRAYS = {"numpy.ndarray", "numpy.dtype", "numpy._core.multiarray._reconstruct"}


def loaded_names(content: bytes) -> set[str]:
    """Return the names that Python's own unpickler asks for when it loads."""
    found = set()

    class Recording(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found.add(f"{module}.{name}")
            return super().find_class(module, name)

    Recording(io.BytesIO(content)).load()
    return found


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", OBJECTS)
def test_the_names_are_those_that_loading_asks_for(name: str, protocol: int, tmp_path: Path) -> None:
    content = pickle.dumps(OBJECTS[name], protocol=protocol)
    (tmp_path / "model.pkl").write_bytes(gzip.compress(content) if protocol == 5 else content)

    assert set(of_pickle(tmp_path / "model.pkl")) == loaded_names(content)


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("xz", 3)])
@pytest.mark.parametrize("name", OBJECTS)
def test_the_arrays_of_a_joblib_file_are_skipped(name: str, compress: Any, tmp_path: Path) -> None:
    joblib.dump(OBJECTS[name], tmp_path / "model.joblib", compress=compress)

    listed = set(of_pickle(tmp_path / "model.joblib"))

    assert listed - OF_ARRAYS - {"_codecs.encode"} == loaded_names(pickle.dumps(OBJECTS[name])) - OF_ARRAYS


def test_what_a_pickle_would_run_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    listed = 0
    for content in executing(marker).values():
        (tmp_path / "model.pkl").write_bytes(content)
        with contextlib.suppress(UnsafePickle):
            listed += bool(of_pickle(tmp_path / "model.pkl"))
        assert not marker.exists()
    assert listed > 5


def test_the_pickle_in_a_zip_file_of_pytorch_is_listed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "inner.pt", "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps(Decimal("1.5"), protocol=2))
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as archive:
        archive.writestr("net/models/model.json", "{}")
        archive.write(tmp_path / "inner.pt", "net/data/sample_inputs/model.pt")
    assert of_archive(tmp_path / "net.pt2") == ("decimal.Decimal",)


@pytest.mark.parametrize("content", [b"\x80\x04.", b"\x80\x04K", b"\x80\x04K\x01)R.", b"c", b"\x80\x04\x8c\x01a)R."])
def test_a_broken_pickle_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(content)
    with pytest.raises(UnsafePickle, match=r"the names in model\.pkl cannot be listed"):
        of_pickle(tmp_path / "model.pkl")
