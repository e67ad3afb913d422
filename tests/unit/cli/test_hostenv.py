from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fakes.package_index import PackageIndex
from pilotlight_cli.hostenv import InstallError, group_packages, host_packages, isolated_python, run_uv

# Small, pure Python, without dependencies; the hash is that of its wheel on PyPI.
IDNA = "idna==3.10 --hash=sha256:946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3\n"


def run(code: str, *pythonpath: Path, arguments: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environ = {"PYTHONPATH": os.pathsep.join(map(str, pythonpath)), "PATH": os.environ["PATH"]}
    command = [*isolated_python(), *arguments, "-c", code]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)


def test_packages_import_from_their_folder_and_only_from_there(tmp_path: Path) -> None:
    folder = host_packages(["idna==3.10"], tmp_path)

    assert run("import idna; print(idna.__file__)", folder).stdout.startswith(str(folder))
    assert "No module named 'idna'" in run("import idna").stderr


def test_an_isolated_python_sees_nothing_that_this_one_has_installed() -> None:
    paths = run("import sys; print(*sys.path, sep='\\n')").stdout

    assert "site-packages" not in paths
    assert "No module named 'pytest'" in run("import pytest").stderr
    assert run("import sys; print(sys.version)").stdout.strip() == sys.version


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    first = host_packages(["idna==3.10"], tmp_path)
    made = first.stat().st_mtime_ns

    assert host_packages(["idna==3.10"], tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert host_packages(["idna==3.9"], tmp_path) != first


def test_bytecode_comes_with_the_packages(tmp_path: Path) -> None:
    folder = host_packages(["idna==3.10"], tmp_path)

    assert list(folder.glob("idna/__pycache__/core.*.pyc"))
    assert "idna/__pycache__/core" in run("import idna", folder, arguments=("-v", "-B")).stderr


def test_a_requirements_text_and_its_file_give_the_same_folder(tmp_path: Path) -> None:
    file = tmp_path / "requirements.lock"
    file.write_text(IDNA)

    assert host_packages(file, tmp_path / "host") == host_packages(IDNA, tmp_path / "host")


def test_a_file_that_differs_from_its_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"(?s)Hash mismatch.*idna==3.10"):
        host_packages(IDNA.replace("946d", "0000"), tmp_path)


def test_a_pinned_text_without_hashes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="--require-hashes"):
        host_packages("idna==3.10\n", tmp_path)


def test_what_cannot_be_resolved_is_said_in_the_words_of_uv_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"(?s)exit code 1.*idna==2.999"):
        host_packages(["idna==2.999"], tmp_path)

    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_failed_install_can_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(InstallError):
        host_packages(IDNA.replace("946d", "0000"), tmp_path)

    assert host_packages(IDNA, tmp_path).is_dir()


@pytest.mark.parametrize("variable", ["PIP_FIND_LINKS", "UV_FIND_LINKS"])
def test_private_packages_are_found_where_pip_finds_them(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PackageIndex.at(tmp_path / "index") as index:
        index.add("ours", "1.0")
        wheels = sorted((tmp_path / "index").rglob("*.whl"))
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path}/none")
    separator = " " if variable == "PIP_FIND_LINKS" else ","
    monkeypatch.setenv(variable, f"{wheels[0].parent}{separator}{tmp_path}")

    assert list(host_packages(["ours==1.0"], tmp_path / "packages").glob("ours-1.0.dist-info"))


def test_callers_at_once_get_one_whole_folder(tmp_path: Path) -> None:
    found: list[tuple[Path, bool]] = []

    def install() -> None:
        folder = host_packages(["idna==3.10"], tmp_path)
        found.append((folder, (folder / "idna" / "core.py").is_file()))

    threads = [threading.Thread(target=install) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 4
    assert len(set(found)) == 1
    assert found[0][1]
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [found[0][0]]


def test_processes_at_once_get_one_whole_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pilotlight_cli.hostenv import host_packages;"
        f"print(host_packages({IDNA!r}, Path(sys.argv[1])))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    printed = {process.communicate(timeout=600)[0].strip() for process in processes}

    assert printed == {str(host_packages(IDNA, tmp_path))}


def test_the_lambda_runtime_stand_in_has_what_lambda_brings() -> None:
    folder = group_packages("lambda-runtime")

    assert run("import awslambdaric, boto3", folder).returncode == 0


@contextmanager
def index_that_answers_after(seconds: float) -> Iterator[str]:
    """Yield a package index without packages."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(seconds)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


def test_an_install_that_takes_longer_than_a_second_says_what_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with index_that_answers_after(1.5) as url:
        monkeypatch.setenv("UV_DEFAULT_INDEX", url)
        with pytest.raises(InstallError, match="not found"):
            host_packages(["idna==3.10"], tmp_path)

    assert capsys.readouterr().err.strip() == "Installing idna==3.10 for this machine's Python"


def test_a_command_that_is_done_in_time_says_nothing_on_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_uv(["--version"], doing="Looking which uv this is", quiet_seconds=60).startswith("uv ")
    assert capsys.readouterr() == ("", "")
