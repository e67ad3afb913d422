from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from doubles import description
from pilotlight.errors import ModelError
from pilotlight.model.lock import Description, File, Needs
from pilotlight.start.machine import Machine, check_memory

MB = 1 << 20


def model(*sizes: int, format_: str = "onnx") -> Description:
    """Return a model with files of those sizes in MB."""
    files = tuple(File(f"file{index}", size * MB, "0" * 64) for index, size in enumerate(sizes))
    return replace(description(), files=files, format=format_)


def measured(peak: int, *sizes: int) -> Description:
    """Return a model with files of those sizes whose start took so many MB."""
    return replace(model(*sizes), needs=Needs(peak, 100))


def free(megabytes: int, *, disk_is_memory: bool = False) -> Machine:
    """Return a machine of 512 MB with so many of them left."""
    return Machine(1, 512 * MB, megabytes * MB, disk_is_memory)


def shared(megabytes: int) -> Machine:
    """Return such a machine for eight processes."""
    return replace(free(megabytes), processes=8)


@pytest.mark.parametrize(
    ("described", "machine"),
    [
        (model(100), free(101)),
        (model(1, 4000), free(101)),
        (model(50, format_="pickle"), free(101)),
        (model(50), free(101, disk_is_memory=True)),
        (model(100_000), Machine()),
        (measured(640, 1), free(512)),
        (measured(700, 1, 48), free(512)),
        (measured(100_000, 1), Machine()),
        (model(1, 4000), shared(101)),
        (model(100, format_="ort"), shared(101)),
    ],
    ids=[
        *("weights inside", "weights beside, mapped", "a pickle", "files in memory", "an unknown machine"),
        *("a peak a little above", "a peak with mapped weights", "a peak, and an unknown machine"),
        *("weights beside, of several processes", "a mapped file of several processes"),
    ],
)
def test_a_model_that_may_fit_is_not_refused(described: Description, machine: Machine, tmp_path: Path) -> None:
    check_memory(described, machine, tmp_path)


@pytest.mark.parametrize(
    ("described", "machine", "message"),
    [
        (model(100), free(99), "at least 100 MB to load file0 "),
        (model(50, format_="pickle"), free(99), "at least 100 MB to load file0 "),
        (model(50), free(99, disk_is_memory=True), "50 MB for the files, since .* is in memory"),
        (model(1, 98), free(99, disk_is_memory=True), "1.0 MB to load file0 .* and 99 MB for the files"),
        (model(13), shared(99), "at least 104 MB to load file0 in 8 processes "),
    ],
    ids=["weights inside", "a pickle", "files in memory", "weights beside, in memory", "several processes"],
)
def test_a_model_that_does_not_fit_is_refused_with_the_needed_and_the_free_memory(
    described: Description, machine: Machine, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=f"{message}.* of 512 MB only 99 MB are free; give the function more memory"):
        check_memory(described, machine, tmp_path)


def test_a_file_that_is_there_has_its_memory_already(tmp_path: Path) -> None:
    (tmp_path / "file0").touch()
    check_memory(model(99), free(99, disk_is_memory=True), tmp_path)


@pytest.mark.parametrize(
    ("described", "machine", "least"),
    [(measured(650, 1), free(512), 520), (measured(600, 40), free(512, disk_is_memory=True), 520)],
    ids=["more than there is", "with its files in memory"],
)
def test_less_memory_than_a_start_took_is_refused_with_both_numbers(
    described: Description, machine: Machine, least: int, tmp_path: Path
) -> None:
    assert described.needs
    message = f"it took {described.needs.memory_mb} MB when it was published, and here are 512 MB; .* least {least} MB"
    with pytest.raises(ModelError, match=message):
        check_memory(described, machine, tmp_path)
