from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from pilotlight_cli.developing.subjects import name_of, sources
from pilotlight_cli.developing.watching import Watch
from pilotlight_cli.regular_files import file_states


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"one")
    return path


def watching(*paths: Path) -> Watch:
    """Return a watch whose clock advances by a second each time it is read; it looks first at second 1."""
    return Watch(lambda: paths, itertools.count().__next__)


def test_files_that_stay_as_they_are_have_not_changed(model: Path) -> None:
    watch = watching(model)
    assert [watch.changed() for _ in range(3)] == [None] * 3


def test_a_change_is_noticed_once_when_the_file_has_been_still(model: Path) -> None:
    watch = watching(model)
    model.write_bytes(b"half")
    assert watch.changed() is None
    model.write_bytes(b"whole file")
    assert watch.changed() is None
    assert watch.changed() == ((model,), 1)
    assert watch.changed() is None


def test_a_file_that_goes_and_one_that_comes_have_changed(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "model.lock"
    watch = watching(model, other)
    model.rename(other)
    assert watch.changed() is None
    assert watch.changed() == ((other, model), 0)


def test_a_change_that_is_taken_back_while_it_is_watched_is_none(model: Path, tmp_path: Path) -> None:
    watch = watching(model)
    kept = model.rename(tmp_path / "kept")
    assert watch.changed() is None
    kept.rename(model)
    assert [watch.changed(), watch.changed()] == [None, None]


def test_a_file_that_is_known_from_its_reading_has_not_changed(model: Path, tmp_path: Path) -> None:
    paths = [model]
    watch = Watch(lambda: paths, itertools.count().__next__)
    paths.append(tmp_path / "model.data")
    paths[1].write_bytes(b"data")
    model.write_bytes(b"other")
    watch.take(file_states(paths))
    assert [watch.changed() for _ in range(3)] == [None] * 3
    paths[1].write_bytes(b"more data")
    assert [watch.changed(), watch.changed()] == [None, ((paths[1],), 3)]
    watch.take({})
    assert watch.changed() is None


def test_the_sources_of_a_clone_are_those_of_the_function_and_of_the_core() -> None:
    names = {path.name for path in sources("aws")}
    assert {"handler.py", "service.py"} <= names


@pytest.mark.parametrize(("file", "name"), [("My Model_2.onnx", "my-model-2"), ("#.pkl", "model")])
def test_a_model_file_gives_its_name_to_the_model(file: str, name: str) -> None:
    assert name_of(Path(file)) == name
