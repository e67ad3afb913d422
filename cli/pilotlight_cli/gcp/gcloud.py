"""`gcloud` as people use it: a subprocess that answers in JSON, and whose own words are in our errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pilotlight_cli.gcp import GcpError, NotThere

_LAST_LINES = 12
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a run of gcloud ended."""

    code: int
    out: str
    err: str


Run = Callable[[Sequence[str]], Done]
"""Runs gcloud with arguments, without the word `gcloud` itself."""


def run_gcloud(arguments: Sequence[str]) -> Done:
    """Run the gcloud on this machine. Raises GcpError where there is none.

    It has a session of its own: Ctrl-C reaches our process alone, which ends gcloud with its own work in order.
    """
    # Nobody is there to answer, and a deployment tells its own story.
    quiet = {"CLOUDSDK_CORE_DISABLE_PROMPTS": "1", "CLOUDSDK_CORE_SHOW_STRUCTURED_LOGS": "never", "NO_COLOR": "1"}
    try:
        process = subprocess.Popen(
            ["gcloud", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | quiet,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise GcpError("there is no gcloud on this machine; https://cloud.google.com/sdk/docs/install has it") from None
    try:
        out, err = process.communicate()
    except BaseException:  # an interrupt too must not leave it behind
        _stop(process)
        raise
    return Done(process.returncode, out, err)


def _stop(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.communicate(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@dataclass(frozen=True, slots=True)
class Gcloud:
    """gcloud for one project."""

    project: str
    run: Run = run_gcloud

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - a JSON document
        """What a command prints as JSON; None where it prints nothing. Raises NotThere, GcpError."""
        printed = self._checked(*arguments, f"--project={self.project}", "--format=json", "--quiet")
        try:
            return json.loads(printed) if printed.strip() else None
        except ValueError:
            raise GcpError(f"'{_named(arguments)}' printed no JSON: {printed[:300]}") from None

    def access_token(self) -> str:
        """A token for Google's APIs, of whoever is signed in."""
        return self._checked("auth", "print-access-token", "--quiet").strip()

    def identity_token(self, audience: str, account: str) -> str:
        """A token that a private function takes: of a service account that we may act as, or of whoever is signed in.

        Only a service account's token can be for an audience. A person's is for none, and Cloud Run takes it. A job on
        GitHub is neither, and needs an account.
        """
        acting = [f"--impersonate-service-account={account}", "--include-email"] if account else []
        done = self.run(["auth", "print-identity-token", f"--audiences={audience}", *acting, "--quiet"])
        if done.code and not account and "Invalid account type for `--audiences`" in done.err:
            done = self.run(["auth", "print-identity-token", "--quiet"])
            if done.code:
                raise GcpError(
                    f"whoever is signed in has no identity token ({_words(done)}); set 'invoker' in gcp.toml to a "
                    "service account that may call the function, as deploy/gcp/setup.sh makes it"
                )
        if done.code:
            raise GcpError(f"'gcloud auth print-identity-token' failed: {_words(done)}")
        return done.out.strip()

    def _checked(self, *arguments: str) -> str:
        done = self.run(arguments)
        if done.code:
            kind = NotThere if "NOT_FOUND" in done.err or "status=[404]" in done.err else GcpError
            raise kind(f"'{_named(arguments)}' failed: {_words(done)}")
        return done.out


def _named(arguments: Sequence[str]) -> str:
    words = [argument for argument in arguments if not argument.startswith("-")]
    return " ".join(("gcloud", *words[:4]))


def _words(done: Done) -> str:
    """gcloud's own last words, without the lines that only tell of progress."""
    lines = [line.rstrip() for line in done.err.splitlines() if line.strip()]
    return "\n".join(lines[-_LAST_LINES:]) or f"exit code {done.code}"
