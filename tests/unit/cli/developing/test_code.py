from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from pilotlight_cli.developing import code as module
from pilotlight_cli.developing.code import Code
from pilotlight_cli.local.server import prepare
from pilotlight_cli.regular_files import FileState
from pilotlight_cli.staging.package import BuildError
from repository import LOCK


def content(folder: Path) -> dict[Path, bytes]:
    """Return the files but the bytecode."""
    return {
        file.relative_to(folder): file.read_bytes()
        for file in folder.rglob("*")
        if file.suffix != ".pyc"
        if file.is_file()
    }


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_a_function_of_kept_code_is_the_same(cloud: str, tmp_path: Path) -> None:
    kept = Code(cloud)
    new = prepare(cloud, LOCK, tmp_path / "new", {})
    copied = prepare(cloud, LOCK, tmp_path / "copied", {}, code=kept.folder())

    assert content(copied.folder) == content(new.folder)
    for source in kept.folder().rglob("*.py"):  # else its bytecode would be ignored
        assert (copied.folder / source.relative_to(kept.folder())).stat().st_mtime_ns == source.stat().st_mtime_ns
    kept.close()


def test_code_is_kept_until_a_source_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Code("aws")
    first = kept.folder()
    assert kept.folder() == first

    def changed(files: Iterable[Path]) -> dict[Path, FileState]:
        return dict.fromkeys(files, (1, 2, 3))

    monkeypatch.setattr(module, "file_states", changed)
    second = kept.folder()
    assert second != first
    assert not first.exists()

    def fail(*_: object) -> None:
        raise BuildError("invalid syntax")

    monkeypatch.setattr(module, "compile_code", fail)
    assert kept.folder() == second
    monkeypatch.setattr(module, "file_states", lambda _: {})
    for _ in range(2):  # what failed is not kept
        with pytest.raises(BuildError):
            kept.folder()
