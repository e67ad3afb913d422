"""How gcloud is called, and what becomes of its errors."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pilotlight_cli.gcp import GcpError, NoAccess, NoCredentials, NotFound
from pilotlight_cli.gcp.gcloud import Completed, Gcloud, run_gcloud


class Scripted:
    """A gcloud that gives these answers, one after the other, and remembers what it was asked."""

    def __init__(self, *answers: Completed) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    def __call__(self, arguments: Sequence[str]) -> Completed:
        self.asked.append(list(arguments))
        return self.answers.pop(0)


def test_it_is_asked_for_json_and_asks_nothing() -> None:
    run = Scripted(Completed(0, '{"name": "x"}', ""))
    assert Gcloud("my-project", run).json("functions", "describe", "x") == {"name": "x"}
    assert run.asked == [["functions", "describe", "x", "--project=my-project", "--format=json", "--quiet"]]


def test_an_error_has_gclouds_own_words() -> None:
    run = Scripted(Completed(1, "", "Deploying...\n\nERROR: (gcloud.functions.deploy) it has no quota\n"))
    with pytest.raises(
        GcpError, match=r"^'gcloud functions deploy x' failed: Deploying...\nERROR: .* it has no quota$"
    ):
        Gcloud("p", run).json("functions", "deploy", "x", "--gen2")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("ResponseError: status=[404], code=[Ok]", NotFound),
        ("ResponseError: status=[403], code=[Ok], message=[Permission denied]", NoAccess),
        ("You do not currently have an active account selected.\nPlease run:\n\n  $ gcloud auth login", NoCredentials),
    ],
)
def test_what_is_missing_is_an_error_of_its_own(message: str, kind: type[GcpError]) -> None:
    with pytest.raises(kind):
        Gcloud("p", Scripted(Completed(1, "", message))).json("functions", "describe", "x")


def test_an_answer_that_is_no_json_is_an_error() -> None:
    with pytest.raises(GcpError, match="printed invalid JSON: hello"):
        Gcloud("p", Scripted(Completed(0, "hello", ""))).json("run")


def test_no_answer_is_none() -> None:
    assert Gcloud("p", Scripted(Completed(0, "\n", ""))).json("run") is None


def test_a_service_accounts_identity_is_for_the_audience() -> None:
    run = Scripted(Completed(0, "token\n", ""))
    assert Gcloud("p", run).identity_token("https://x.run.app", "") == "token"
    assert run.asked == [["auth", "print-identity-token", "--audiences=https://x.run.app", "--quiet"]]


def test_a_persons_identity_is_for_no_audience() -> None:
    refused = Completed(1, "", "ERROR: Invalid account type for `--audiences`. Requires valid service account.")
    run = Scripted(refused, Completed(0, "token\n", ""))
    assert Gcloud("p", run).identity_token("https://x.run.app", "") == "token"
    assert run.asked[1] == ["auth", "print-identity-token", "--quiet"]


def test_whoever_has_no_identity_is_told_of_the_invoker() -> None:
    refused = Completed(1, "", "ERROR: Invalid account type for `--audiences`. Requires valid service account.")
    run = Scripted(refused, Completed(1, "", "No identity token can be obtained from the current credentials."))
    with pytest.raises(GcpError, match=r"No identity token can be .*set 'invoker' in gcp.toml"):
        Gcloud("p", run).identity_token("https://x.run.app", "")


def test_an_invoker_is_acted_as() -> None:
    run = Scripted(Completed(0, "token\n", ""))
    Gcloud("p", run).identity_token("https://x.run.app", "invoke@p.iam.gserviceaccount.com")
    assert run.asked[0][3:5] == ["--impersonate-service-account=invoke@p.iam.gserviceaccount.com", "--include-email"]


def test_a_machine_without_gcloud_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GcpError, match="gcloud is not installed; see https://cloud.google.com/sdk"):
        run_gcloud(["version"])


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a program called gcloud that tells its process id in a file, and sleeps."""
    program = tmp_path / "gcloud"
    program.write_text(
        f"#!{sys.executable}\nimport os, time, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'made')!r}).write_text(str(os.getpid()))\n"
        f"os.rename({str(tmp_path / 'made')!r}, {str(tmp_path / 'pid')!r})\ntime.sleep(60)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "pid"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Yield a program that was started in the background may ignore interrupts, as its shell told it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def is_in(thread: threading.Thread, function: str) -> bool:
    """Whether a thread is in a call of that function."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_gcloud_too(stand_in: Path) -> None:
    def interrupt() -> None:
        while not (stand_in.exists() and is_in(threading.main_thread(), "communicate")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_gcloud(["functions", "deploy"])
    thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(stand_in.read_text()), 0)
