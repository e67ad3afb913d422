from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from estimators import POINTS, REGRESSOR, VALUES, description, matrix
from own_modules import importable, write_module
from pilotlight import runtimes
from pilotlight.errors import DigestMismatch, ModelError, RuntimeMismatch
from pilotlight.model.lock import Description, File
from pilotlight.pickles.loading import scan
from pilotlight_cli.sandbox.own_module import pack


def entry(path: Path) -> File:
    data = path.read_bytes()
    return File(path.name, len(data), hashlib.sha256(data).hexdigest())


def described(folder: Path, name: str) -> Description:
    """Describe a pickle with the source of its transformer, both in a folder."""
    module = write_module(folder, name)
    with importable(module) as own:
        data = pickle.dumps(make_pipeline(own.Ratios(), Ridge()).fit(POINTS, VALUES), 5)
    own_name = f"{name}.Ratios"
    model = description(folder, data, REGRESSOR, allowed=tuple(set(scan(data)) - {own_name}))
    return replace(model, files=(*model.files, entry(pack(module, folder))), extra_globals=(own_name,))


def test_the_pinned_source_of_a_module_is_imported(tmp_path: Path) -> None:
    model = described(tmp_path, "own_pinned")
    served = runtimes.load(model, tmp_path, 1)
    assert len(served.predict([matrix(POINTS)])[0].values()) == len(POINTS)


def test_a_source_of_another_digest_is_not_imported(tmp_path: Path) -> None:
    model = described(tmp_path, "own_altered")
    path = tmp_path / "own_altered.zip"
    path.write_bytes(path.read_bytes().replace(b"1 +", b"2 +"))
    with pytest.raises(DigestMismatch, match=r"own_altered\.zip has \d+ bytes"):
        runtimes.load(model, tmp_path, 1)


def test_without_its_source_a_model_is_refused(tmp_path: Path) -> None:
    model = described(tmp_path, "own_absent")
    with pytest.raises(RuntimeMismatch, match=r"own_absent\.Ratios, which is not installed here"):
        runtimes.load(replace(model, files=model.files[:1]), tmp_path, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: replace(model, extra_globals=()),
        lambda model: replace(model, files=(model.files[0], replace(model.files[1], name="own_other.zip"))),
        lambda model: replace(model, files=(model.files[0], replace(model.files[1], name="own_refused.py"))),
        lambda model: replace(
            model,
            files=(model.files[0], replace(model.files[1], name="numpy.zip")),
            extra_globals=("numpy.Ratios",),
        ),
    ],
)
def test_a_further_file_is_the_source_of_a_name_that_the_lock_shows(
    change: Callable[[Description], Description], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="expected only sources of modules of which the publisher allowed names"):
        runtimes.load(change(described(tmp_path, "own_refused")), tmp_path, 1)


def zipped(**files: str) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_py", ".py"), content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no zip", r"own_content\.zip cannot be read"),
        (zipped(numpy_py=""), r"own_content\.zip holds numpy\.py, expected"),
        (zipped(own_content__data="x"), r"own_content\.zip holds own/content|expected"),
    ],
)
def test_a_zip_holds_sources_of_its_module_alone(content: bytes, why: str, tmp_path: Path) -> None:
    model = described(tmp_path, "own_content")
    path = tmp_path / "own_content.zip"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=why):
        runtimes.load(replace(model, files=(model.files[0], entry(path))), tmp_path, 1)
