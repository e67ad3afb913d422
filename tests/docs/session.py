"""A shell in a copy of the project, for the examples of a page from top to bottom."""

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
from pathlib import Path
from queue import Empty, Queue

from docs.matching import ANYTHING, difference
from docs.pages import Block
from pilotlight_cli.assets import ROOT
from pilotlight_cli.local.process import free_port

# Texts in the pages that a run replaces with its own port and folder.
PORT = ":8080"
FOLDER = "/tmp/models"  # noqa: S108 - a text in the pages, never a path here

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
        if block.kind == "file":
            (self.folder / block.note).write_text(block.text)
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
        status, printed = self._do(f"{sys.executable} -W error {script}")
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
        text = command.replace(PORT, f":{self._port}").replace(FOLDER, self._models)
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
        return text.replace(f":{self._port}", PORT).replace(self._models, FOLDER).replace(f"{self.folder}/", "")

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
        """Return a reader's environment: nothing of this test, and unbuffered output."""
        kept = ("HOME", "PATH", "LANG", "USER", "PYENV_ROOT", "SSL_CERT_FILE", "SSL_CERT_DIR")
        passed = {
            name: value
            for name, value in os.environ.items()
            if name in kept or name.startswith(("UV_", "PIP_", "XDG_")) or name.lower().endswith("_proxy")
        }
        home = self.folder.parent
        (home / ".curlrc").write_text("silent\nshow-error\n")  # no meter, as on a terminal
        return passed | {"PORT": str(self._port), "PYTHONUNBUFFERED": "1", "CURL_HOME": str(home)}


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
    """Open a session in a fresh copy of the project below `folder`."""
    copy = folder / "pilotlight"
    shutil.copytree(ROOT, copy, ignore=_LEFT_OUT)
    _lend_environment(copy)
    session = Session(copy, free_port(ports=_PORTS))
    try:
        yield session
    finally:
        session.close()


def _lend_environment(copy: Path) -> None:
    """Let `make` find everything installed in the copy: it gets the programs of this environment.

    Installing again would take a minute, and would make this environment run the copy's code.
    """
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    (copy / ".venv").mkdir()
    (copy / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    for stamp in (".run", ".dev"):
        (copy / ".venv" / stamp).touch()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # the shell, its parent, takes leave of it as soon as it ends
    except ProcessLookupError:
        return False
    return True
