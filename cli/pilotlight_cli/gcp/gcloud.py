"""`gcloud` as a subprocess with JSON output; errors quote its own messages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pilotlight_cli.gcp import GcpError, NoAccess, NoCredentials, NotFound

_LAST_LINES = 12
_STOP_SECONDS = 5.0

# What gcloud's messages contain. It suggests this command whenever its credentials are missing or expired.
_KINDS = {
    "NOT_FOUND": NotFound,
    "status=[404]": NotFound,
    "PERMISSION_DENIED": NoAccess,
    "status=[403]": NoAccess,
    "gcloud auth login": NoCredentials,
}


@dataclass(frozen=True, slots=True)
class Completed:
    """A completed run of gcloud: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


Run = Callable[[Sequence[str]], Completed]
"""Runs gcloud with arguments; `gcloud` itself is not among them."""


def run_gcloud(arguments: Sequence[str]) -> Completed:
    """Run this machine's gcloud. Raises NoCredentials if it is not installed.

    gcloud runs in a session of its own: Ctrl-C interrupts this process alone, which then stops gcloud in order.
    """
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
        raise NoCredentials("gcloud is not installed; see https://cloud.google.com/sdk/docs/install") from None
    try:
        out, err = process.communicate()
    except BaseException:  # an interrupt too must not leave gcloud running
        _stop(process)
        raise
    return Completed(process.returncode, out, err)


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
    """gcloud on one project."""

    project: str
    run: Run = run_gcloud

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - a JSON document
        """Return a command's JSON output, or None where it prints nothing. Raises GcpError."""
        printed = self._run_checked(*arguments, f"--project={self.project}", "--format=json", "--quiet")
        try:
            return json.loads(printed) if printed.strip() else None
        except ValueError:
            raise GcpError(f"'{_command_text(arguments)}' printed invalid JSON: {printed[:300]}") from None

    def access_token(self) -> str:
        """Return an access token of the signed-in account for Google's APIs."""
        return self._run_checked("auth", "print-access-token", "--quiet").strip()

    def identity_token(self, audience: str, account: str) -> str:
        """Return an identity token for a private function: of the service account `account`, or of who is signed in.

        Only a service account's token can have an audience; Cloud Run accepts a person's without one. A job on GitHub
        is neither, and needs `account`. Raises GcpError.
        """
        acting = [f"--impersonate-service-account={account}", "--include-email"] if account else []
        done = self.run(["auth", "print-identity-token", f"--audiences={audience}", *acting, "--quiet"])
        if done.code and not account and "Invalid account type for `--audiences`" in done.err:
            done = self.run(["auth", "print-identity-token", "--quiet"])
            if done.code:
                raise GcpError(
                    f"the signed-in account has no identity token ({_error_output(done)}); set 'invoker' in gcp.toml "
                    "to a service account that may call the function; deploy/gcp/setup.sh creates one"
                )
        if done.code:
            raise GcpError(f"'gcloud auth print-identity-token' failed: {_error_output(done)}")
        return done.out.strip()

    def _run_checked(self, *arguments: str) -> str:
        done = self.run(arguments)
        if done.code:
            kind = next((kind for words, kind in _KINDS.items() if words in done.err), GcpError)
            raise kind(f"'{_command_text(arguments)}' failed: {_error_output(done)}")
        return done.out


def _command_text(arguments: Sequence[str]) -> str:
    words = [argument for argument in arguments if not argument.startswith("-")]
    return " ".join(("gcloud", *words[:4]))


def _error_output(done: Completed) -> str:
    """Return the last lines of stderr, or the exit code."""
    lines = [line.rstrip() for line in done.err.splitlines() if line.strip()]
    return "\n".join(lines[-_LAST_LINES:]) or f"exit code {done.code}"
