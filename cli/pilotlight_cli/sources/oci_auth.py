"""Signing in to an OCI registry: with Docker's stored credentials, or without any, for a token if it asks for one.

https://distribution.github.io/distribution/spec/auth/token/, and ../oauth/ for an identity token
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import requests
from requests.auth import HTTPBasicAuth

from pilotlight.errors import StoreError
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources.client import TIMEOUT, Anonymous, Bearer, Client, check_https
from pilotlight_cli.sources.docker_credentials import stored

_PARAMETER: Final = re.compile(r'([a-z_]+)="([^"]*)"')


def signed_in(base: str, name: str, registry: str, environ: Mapping[str, str]) -> Client:
    """Return a client for the repository at `base`. Raise StoreError or UsageError.

    Stored credentials are looked up only where the registry asks for some.
    """
    sign_in = f"sign in with 'docker login {registry}' or 'oras login {registry}'"
    challenge = _challenge(f"{base}/manifests/latest")
    kind = challenge.partition(" ")[0].lower()
    if kind not in ("basic", "bearer"):
        return Client(sign_in)
    found = stored(registry, environ)
    if found and found.identity and kind == "basic":
        raise UsageError(f"the credentials for {registry} are an identity token, expected a password; {sign_in}")
    by_name = Client(
        sign_in, HTTPBasicAuth(found.user, found.password) if found and not found.identity else Anonymous()
    )
    if kind == "basic":
        return by_name
    asked = dict(_PARAMETER.findall(challenge))
    realm = check_https(asked.get("realm", ""), f"the token server of {registry}")
    asked_for = {"scope": f"repository:{name}:pull"} | ({"service": asked["service"]} if "service" in asked else {})
    if found and found.identity:
        form = {"grant_type": "refresh_token", "client_id": "pilotlight", "refresh_token": found.password}
        document = by_name.document(realm, form=asked_for | form)
    else:
        document = by_name.document(realm, asked_for)
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
