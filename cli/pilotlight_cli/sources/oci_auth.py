"""Signing in to an OCI registry: with Docker's stored credentials, or without any, for a token if it asks for one.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from pilotlight.errors import StoreError
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources.client import TIMEOUT, Anonymous, Bearer, Client, check_https

_PARAMETER: Final = re.compile(r'([a-z_]+)="([^"]*)"')
_HUB: Final = "https://index.docker.io/v1/"  # Docker's own key for its registry


def signed_in(base: str, name: str, registry: str, environ: Mapping[str, str]) -> Client:
    """Return a client for the repository at `base`. Raise StoreError or UsageError."""
    sign_in = f"sign in with 'docker login {registry}' or 'oras login {registry}'"
    stored = _stored(registry, environ)
    challenge = _challenge(f"{base}/manifests/latest")
    kind = challenge.partition(" ")[0].lower()
    if kind != "bearer":
        return Client(sign_in, stored if kind == "basic" else Anonymous())
    asked = dict(_PARAMETER.findall(challenge))
    realm = check_https(asked.get("realm", ""), f"the token server of {registry}")
    params = {"scope": f"repository:{name}:pull"} | ({"service": asked["service"]} if "service" in asked else {})
    document = Client(sign_in, stored).document(realm, params)
    token = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
    if not isinstance(token, str):
        raise StoreError(f"{realm} returned no token; {sign_in}")
    return Client(sign_in, Bearer(token))


def _challenge(url: str) -> str:
    """Return what a registry asks of a request without credentials: empty if nothing."""
    try:
        with requests.get(url, auth=Anonymous(), timeout=TIMEOUT, stream=True) as response:
            return response.headers.get("WWW-Authenticate", "") if response.status_code == 401 else ""
    except requests.RequestException:
        return ""  # the request that matters says what is wrong


def _stored(registry: str, environ: Mapping[str, str]) -> AuthBase:
    """Return the credentials that Docker's configuration has for a registry. Raise UsageError."""
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/nonexistent"), ".docker"))
    file = folder / "config.json"
    if not file.is_file():
        return Anonymous()
    keys = (registry, f"https://{registry}", *((_HUB,) if registry in ("docker.io", "registry-1.docker.io") else ()))
    try:
        config: Any = json.loads(file.read_bytes())
        stored = config.get("auths", {})
        texts = [stored[key]["auth"] for key in keys if key in stored and stored[key].get("auth")]
        if not texts:
            return Anonymous()
        user, _, password = base64.b64decode(texts[0], validate=True).decode().partition(":")
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise UsageError(f"{file} cannot be read ({error}); run 'docker login {registry}' again") from None
    return HTTPBasicAuth(user, password)
