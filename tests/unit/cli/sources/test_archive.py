"""Archives of models: what they hold is taken, and what leads out of their folder, or is too much, is refused."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pilotlight.errors import ModelError
from pilotlight_cli.sources import archive, obtained


def entry(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    return info, content


def packed(path: Path, *entries: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_sagemakers_archive_gives_its_model_and_names_its_code(mode: str, tmp_path: Path) -> None:
    entries = (entry("./", kind=tarfile.DIRTYPE), entry("./model.onnx", b"graph"), entry("./code/inference.py", b"x"))
    path = packed(tmp_path / "model.tar.gz", *entries, mode=mode)
    source = obtained(str(path))
    assert source.path.read_bytes() == b"graph"
    assert source.notes == (f"code/inference.py in {path} is not run; what it does has to be in the model",)


REFUSED: dict[str, tuple[tuple[tarfile.TarInfo, bytes], str]] = {
    "a path upwards": (
        entry("../model.onnx", b"x"),
        "has an entry '../model.onnx', expected a path below the archive's root",
    ),
    "a path upwards in the middle": (
        entry("a/../../b", b"x"),
        "has an entry 'a/../../b'",
    ),
    "an absolute path": (
        entry("/etc/passwd", b"x"),
        "has an entry '/etc/passwd'",
    ),
    "a folder upwards": (
        entry("../a", kind=tarfile.DIRTYPE),
        "has an entry '../a'",
    ),
    "a symbolic link": (
        entry("model.onnx", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        "model.onnx is a link, expected files and folders",
    ),
    "a hard link": (
        entry("model.onnx", kind=tarfile.LNKTYPE, link="a"),
        "model.onnx is a link",
    ),
    "a device": (
        entry("model.onnx", kind=tarfile.CHRTYPE),
        "model.onnx is no regular file",
    ),
    "a pipe": (
        entry("model.onnx", kind=tarfile.FIFOTYPE),
        "model.onnx is no regular file",
    ),
    "a sparse file": (
        entry("model.onnx", kind=tarfile.GNUTYPE_SPARSE),
        "model.tar.gz",
    ),
    "a name twice": (
        entry("first", b"x"),
        "first cannot be unpacked: File exists; expected each name once",
    ),
    "a folder in place of a file": (
        entry("first/a", b"x"),
        "model.tar.gz",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_entry_that_is_no_file_below_the_root_is_refused(case: str, tmp_path: Path) -> None:
    bad, sentence = REFUSED[case]
    path = packed(tmp_path / "model.tar.gz", entry("first", b"x"), bad)
    with pytest.raises(ModelError) as error:
        obtained(str(path))
    assert sentence in str(error.value)


def bomb(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as out:
        info = tarfile.TarInfo("model.onnx")
        info.size = 2_000_000
        out.write(info.tobuf() + bytes(2_000_000))


def endless_header(path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2_000_000
    path.write_bytes(gzip.compress(info.tobuf() + bytes(2_000_000)))


@pytest.mark.parametrize("write", [bomb, endless_header])
def test_an_archive_that_unpacks_to_too_much_is_refused(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LEAST", 1_000_000)
    monkeypatch.setattr(archive, "TIMES", 2)
    write(tmp_path / "model.tar.gz")
    with pytest.raises(ModelError, match="model.tar.gz unpacks to more than 1,000,000 bytes, expected a model"):
        obtained(str(tmp_path / "model.tar.gz"))


def test_an_archive_of_very_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_FILES", 2)
    with pytest.raises(ModelError, match="more than 2 entries"):
        obtained(str(packed(tmp_path / "m.tgz", entry("a"), entry("b"), entry("c"))))


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_broken_archive_is_refused(cut: int, tmp_path: Path) -> None:
    path = packed(tmp_path / "m.tar.gz", entry("model.onnx", bytes(range(256)) * 50))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ModelError, match="m.tar.gz cannot be unpacked: .*; expected a complete .tar.gz"):
        obtained(str(path))
