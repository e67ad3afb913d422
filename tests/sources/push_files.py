"""Push files to a registry as an OCI artifact, and print its digest: run with ORAS's own packages."""

from __future__ import annotations

import sys

from oras.client import OrasClient


def main(registry: str, target: str, *files: str) -> None:
    client = OrasClient(hostname=registry, insecure=True, auth_backend="basic")
    client.auth.set_basic_auth("ann", "secret")
    response = client.push(target=f"{registry}/{target}", files=list(files))
    print(response.headers["Docker-Content-Digest"])


main(*sys.argv[1:])
