"""Nothing waits for what is no file."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import models
from pilotlight_cli import regular_files
from pilotlight_cli.main import app
from pilotlight_cli.regular_files import check_regular, read
from pilotlight_cli.sandbox.job import UsageError


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # the length of such a path is limited


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "is a pipe, expected a file"),
    "a folder": (Path.mkdir, "is a folder, expected a file"),
    "a socket": (_socket, "is a socket, expected a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a device, expected a file"),
    "a loop of links": (lambda path: path.symlink_to(path), "Too many levels of symbolic links; expected a file"),
    "nothing": (lambda _: None, "No such file or directory; expected a file"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opened", [check_regular, read])
def test_what_is_no_file_is_named(kind: str, opened: Callable[[Path], object], tmp_path: Path) -> None:
    make, why = KINDS[kind]
    make(tmp_path / "model")
    with pytest.raises(UsageError, match=why):
        opened(tmp_path / "model")


def test_a_file_is_read_to_its_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular_files, "LARGEST", 2_000_000)
    (tmp_path / "file").write_bytes(bytes(2_000_000))
    assert len(read(tmp_path / "file")) == 2_000_000
    (tmp_path / "file").write_bytes(bytes(2_000_001))
    with pytest.raises(UsageError, match="has more than 2 MB, the limit for such a file"):
        read(tmp_path / "file")


@pytest.mark.parametrize(
    "command",
    [
        "publish PIPE --name a --store file://HERE/store",
        "publish MODEL --name a --store file://HERE/store --golden PIPE",
        "publish MODEL --name a --store file://HERE/store --signature PIPE",
        "optimize PIPE HERE/out",
        "optimize MODEL HERE/out --golden PIPE",
        "optimize MODEL HERE/out --signature PIPE",
        "pin a --store file://HERE/store --lock PIPE",
        "verify --store file://HERE/store --lock PIPE",
        "verify --store file://HERE/store --lock HERE/model.lock",
        "serve --store file://HERE/store --lock PIPE",
        "build aws --lock PIPE",
    ],
)
def test_no_command_waits_for_a_pipe(command: str, tmp_path: Path) -> None:
    pipe = tmp_path / "requirements.lock"
    os.mkfifo(pipe)
    words = {"PIPE": str(pipe), "MODEL": str(models.plain_tensors(tmp_path)), "HERE": str(tmp_path)}
    for word, meant in words.items():
        command = command.replace(word, meant)
    result = CliRunner().invoke(app, command.split())
    assert f"{pipe} is a pipe, expected a file" in result.output
    assert result.exit_code == 2
