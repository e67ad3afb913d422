"""A shell for the examples of a page from top to bottom, in a folder where a reader would begin."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, Queue

from docs.matching import ANYTHING, difference
from docs.pages import Block
from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.local.process import free_port
from repository import SAMPLE

# Texts in the pages that a run replaces with its own port and folders.
PORT = ":8080"
FOLDER = "/tmp/models"  # noqa: S108 - a text in the pages, never a path here
HOME = "/home/you"  # where the reader begins

_PROGRAMS = Path(sys.executable).parent

_TIMEOUT = 300.0  # seconds for one command

# A session keeps its port for minutes, in which mostly nothing listens on it. So it is below the ports that `free_port`
# gives to the functions of other tests.
_PORTS = range(12_000, 20_000)
_LEFT_OUT = shutil.ignore_patterns(
    *(".*", "build", "tests", "__pycache__", "node_modules", "*.egg-info"),
)


class ExampleFailed(AssertionError):
    """An example does not do what its page says."""


class Session:
    """One shell for the examples of one page; each sees what those before it set, created and started."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self._port = port
        self._models = str(folder.parent / "models")
        self._ending = f"--{os.urandom(8).hex()}--"
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=self._environment(),
            start_new_session=True,
        )
        self._lines: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._server = 0

    def run(self, block: Block) -> None:
        """Run a block. Raise ExampleFailed if the result differs from the page."""
        act = {"console": self._console, "sh": self._sh, "python": self._python}.get(block.language)
        self._lend_to_projects()
        if block.kind == "file":
            self._write(block)
        elif block.kind == "stays up":
            self._stays_up(block)
        elif act is not None:
            act(block)

    def close(self) -> None:
        """End the shell and everything it started."""
        self._end_server()
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGTERM)
        self._shell.wait(timeout=60)
        self._reader.join(timeout=60)
        for stream in (self._shell.stdin, self._shell.stdout):
            if stream is not None:
                stream.close()

    def _lend_to_projects(self) -> None:
        """Let `make` find everything installed in the projects that the examples created."""
        for file in self.folder.glob("*/pilotlight.toml"):
            if not (file.parent / ".venv").exists():
                _lend_environment(file.parent, ".done")

    def _write(self, block: Block) -> None:
        """Write a file into the folder that the shell is in."""
        file = self.folder.parent / f"line-{block.line}"
        file.write_text(block.text)
        self._sh(replace(block, text=f"cp {file} {block.note}\n"))

    def _console(self, block: Block) -> None:
        for command, shown in commands(block):
            status, printed = self._do(command)
            self._compare(block, command, shown, printed)
            if (status != 0) != ("error: " in shown):
                raise ExampleFailed(f"{block.place}: {command!r} ended with exit code {status}:\n{printed}")

    def _sh(self, block: Block) -> None:
        status, printed = self._do(block.text)
        if status:
            raise ExampleFailed(f"{block.place}: ended with exit code {status}:\n{printed}")

    def _python(self, block: Block) -> None:
        script = self.folder.parent / f"line-{block.line}.py"
        script.write_text(block.text.replace(PORT, f":{self._port}"))
        # A library's own warnings are no error of the page.
        packages = f"PYTHONPATH={host_packages(block.note.split())} " if block.kind == "needs" else ""
        status, printed = self._do(f"{packages}{sys.executable} {'' if packages else '-W error '}{script}")
        if status:
            raise ExampleFailed(f"{block.place}: ended with exit code {status}:\n{printed}")

    def _stays_up(self, block: Block) -> None:
        """Start a command that stays up, and wait until it has printed what the page shows."""
        self._end_server()
        ((command, shown),) = commands(block)
        if command.startswith("pilotlight serve"):
            command += f" --port {self._port}"
        log = self.folder.parent / f"line-{block.line}.log"
        log.touch()
        status, printed = self._do(f"{command} >{log} 2>&1 </dev/null & echo $!")
        if status:
            raise ExampleFailed(f"{block.place}: {printed}")
        self._server = int(printed)
        shown += f"{ANYTHING}\n"  # more output may follow
        end = time.monotonic() + _TIMEOUT
        while difference(shown, self._as_shown(log.read_text())):
            if time.monotonic() > end or not _runs(self._server):
                self._compare(block, command, shown, self._as_shown(log.read_text()))
                return
            time.sleep(0.1)

    def _end_server(self) -> None:
        if not self._server:
            return
        with suppress(ProcessLookupError):
            os.kill(self._server, signal.SIGTERM)
        self._do(f"wait {self._server}")  # the shell is its parent
        self._server = 0

    def _do(self, command: str) -> tuple[int, str]:
        """Return exit code and output of a command, as the page would show it."""
        assert self._shell.stdin is not None
        text = command.replace(PORT, f":{self._port}").replace(FOLDER, self._models).replace(HOME, str(self.folder))
        self._shell.stdin.write(f'{text}\necho "{self._ending} $?"\n')
        self._shell.stdin.flush()
        lines: list[str] = []
        end = time.monotonic() + _TIMEOUT
        while True:
            try:
                line = self._lines.get(timeout=max(end - time.monotonic(), 0.01))
            except Empty:
                raise ExampleFailed(
                    f"{command!r} did not end within {_TIMEOUT:.0f} s, and printed:\n{''.join(lines)}"
                ) from None
            before, ending, status = line.partition(self._ending)
            lines.append(before)
            if ending:
                return int(status), self._as_shown("".join(lines))

    def _as_shown(self, text: str) -> str:
        """Return the output with the page's port and folders instead of those of this run."""
        return text.replace(f":{self._port}", PORT).replace(self._models, FOLDER).replace(str(self.folder), HOME)

    def _compare(self, block: Block, command: str, shown: str, printed: str) -> None:
        diff = difference(shown, printed)
        if diff:
            raise ExampleFailed(f"{block.place}: {command!r} prints something else than the page shows:\n{diff}")

    def _read(self) -> None:
        assert self._shell.stdout is not None
        for line in self._shell.stdout:
            self._lines.put(line)
        self._lines.put(f"the shell ended\n{self._ending} 1")

    def _environment(self) -> dict[str, str]:
        """Return a reader's environment: nothing of this test but its programs, and unbuffered output."""
        kept = ("HOME", "LANG", "USER", "PYENV_ROOT", "SSL_CERT_FILE", "SSL_CERT_DIR")
        passed = {
            name: value
            for name, value in os.environ.items()
            if name in kept or name.startswith(("UV_", "PIP_", "XDG_")) or name.lower().endswith("_proxy")
        }
        home = self.folder.parent
        (home / ".curlrc").write_text("silent\nshow-error\n")  # no meter, as on a terminal
        (home / ".gitconfig").write_text("[user]\nname = You\nemail = you@example.com\n[init]\ndefaultBranch = main\n")
        return passed | {
            "PATH": f"{_PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "PORT": str(self._port),
            "PYTHONUNBUFFERED": "1",
            "CURL_HOME": str(home),
            "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
            "PIP_NO_INDEX": "1",  # `pip install pilotlight` finds it installed, and must never replace it
        }


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with its output; `> ` continues the line above."""
    command, shown = "", ""
    for line in block.text.splitlines(keepends=True):
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:].rstrip("\n"), ""
        elif line.startswith("> ") and not shown:
            command += "\n" + line[2:].rstrip("\n")
        elif not command:
            raise ExampleFailed(f"{block.place}: a console block must begin with a line like '$ command'")
        else:
            shown += line
    if command:
        yield command, shown


@contextmanager
def opened(folder: Path) -> Iterator[Session]:
    """Open a session in a folder, beside which it may write."""
    session = Session(folder, free_port(ports=_PORTS))
    try:
        yield session
    finally:
        session.close()


def clone(folder: Path) -> Path:
    """Return a copy of this repository below `folder`, as after `make run` and `make test`."""
    copy = folder / "pilotlight"
    shutil.copytree(ROOT, copy, ignore=_LEFT_OUT, symlinks=True)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    _lend_environment(copy, ".run", ".dev")
    return copy


def beside_a_model(folder: Path) -> Path:
    """Return a folder below `folder` with nothing but a model file, where a user begins."""
    home = folder / "you"
    home.mkdir()
    shutil.copy(SAMPLE / "model.onnx", home)
    return home


def _lend_environment(folder: Path, *stamps: str) -> None:
    """Let `make` find everything installed in a clone or a project: it gets the programs of this environment.

    Installing again would take a minute, and in a clone would make this environment run the copy's code.
    """
    (folder / ".venv").mkdir()
    for part in (_PROGRAMS, *(_PROGRAMS.parent / name for name in ("lib", "pyvenv.cfg"))):
        (folder / ".venv" / part.name).symlink_to(part)
    for stamp in stamps:
        (folder / ".venv" / stamp).touch()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # the shell, its parent, takes leave of it as soon as it ends
    except ProcessLookupError:
        return False
    return True
