"""Credentials for a registry as `docker login` and `oras login` keep them: in Docker's configuration, or with a helper.

https://docs.docker.com/reference/cli/docker/login/#credential-stores describes both, and the protocol of the helpers.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pilotlight.errors import StoreError
from pilotlight_cli.sandbox.job import UsageError

HELPER_SECONDS: Final = 60  # a helper may ask its user to unlock a keychain

_HUB: Final = "https://index.docker.io/v1/"  # Docker's own key for its registry
_HUB_HOSTS: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_NOT_FOUND: Final = "credentials not found"
_TOKEN_USER: Final = "<token>"  # noqa: S105 - the user name of an identity token


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and password; or, with `identity`, a token that the token server takes instead of them."""

    user: str
    password: str
    identity: bool = False


def stored(registry: str, environ: Mapping[str, str], seconds: float = HELPER_SECONDS) -> Credentials | None:
    """Return the credentials for a registry, or None. A helper for it comes first, then the one for all, then the file.

    A helper has so many seconds. Raise UsageError for a configuration that cannot be read or names a helper that is not
    there, StoreError for a helper that fails.
    """
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/nonexistent"), ".docker"))
    file = folder / "config.json"
    if not file.is_file():
        return None
    hub = registry in _HUB_HOSTS
    keys = (registry, f"https://{registry}", *((_HUB, *_HUB_HOSTS) if hub else ()))
    try:
        config: Any = json.loads(file.read_bytes())
        helpers = config.get("credHelpers") or {}
        helper = next((helpers[key] for key in keys if helpers.get(key)), config.get("credsStore"))
        auths = config.get("auths") or {}
        kept = next((found for key in keys if (found := _kept(auths.get(key) or {}))), None)
    except (AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise UsageError(f"{file} cannot be read ({error}); run 'docker login {registry}' again") from None
    if not helper:
        return kept
    if not re.fullmatch(r"[A-Za-z0-9._-]+", str(helper)):
        raise UsageError(f"{file} names the credential helper {helper!r}, expected what follows docker-credential-")
    return _ask(f"docker-credential-{helper}", _HUB if hub else registry, file, environ, seconds) or kept


def _kept(entry: Mapping[str, str]) -> Credentials | None:
    """Return the credentials in an entry of the file; with a helper there are none."""
    if token := entry.get("identitytoken"):
        return Credentials("", token, identity=True)
    if not entry.get("auth"):
        return None
    user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    return Credentials(user, password)


def _ask(program: str, server: str, file: Path, environ: Mapping[str, str], seconds: float) -> Credentials | None:
    """Ask a helper for a server's credentials. What it prints may be a secret: messages have its errors alone."""
    found = shutil.which(program, path=environ.get("PATH", ""))
    if found is None:
        raise UsageError(f"{program}, which {file} names, is not on PATH; install it, or take it out of the file")
    try:
        done = subprocess.run(
            [found, "get"],
            input=server,
            env=dict(environ),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StoreError(
            f"{program} did not answer for {server} within {seconds:g} s; unlock its keychain, or take it out of {file}"
        ) from None
    except OSError as error:
        raise UsageError(f"{found} cannot be run: {error.strerror}; install {program} again") from None
    if done.returncode:
        said = " ".join((done.stdout.strip() or done.stderr.strip()).split())[:200]
        if _NOT_FOUND in said.lower():
            return None
        raise StoreError(f"{program} failed for {server} ({said or f'exit code {done.returncode}'}); sign in again")
    try:
        answer = json.loads(done.stdout)
        user, secret = answer["Username"], answer["Secret"]
    except (KeyError, TypeError, ValueError):
        user = secret = None
    if not isinstance(user, str) or not isinstance(secret, str):
        raise StoreError(f"{program} answered something else for {server}, expected JSON with Username and Secret")
    if not secret:
        return None
    return Credentials(user, secret, identity=user == _TOKEN_USER)
