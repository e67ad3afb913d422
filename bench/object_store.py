"""The server with S3's shape, in a process of its own, for as long as the bench needs it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.process import tethered
from servers import certificates

_PROGRAM = Path(__file__).with_name("object_server.py")
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_PATIENCE = 10.0  # seconds until it says its port


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """`url` is its endpoint, `trusted` the file of certificates that its callers have to trust."""

    url: str
    trusted: Path
    log: Path

    def requests(self) -> int:
        """How many requests it has had."""
        return self.log.read_bytes().count(b"\n") - 1

    def environ(self) -> dict[str, str]:
        """Return what leads a function on Lambda to it."""
        return {
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_SESSION_TOKEN": "bench",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_CA_BUNDLE": str(self.trusted),
            "SSL_CERT_FILE": str(self.trusted),
        }


@contextmanager
def object_store(models: Path, folder: Path) -> Iterator[ObjectStore]:
    """Yield the files in `models` as the objects of a bucket of that name; `folder` takes certificates and log."""
    # Our own fetch parses the certificates of AWS's own authorities first: one of them stands behind this server too.
    _, certificate = certificates.make(folder, "Amazon Root CA of the bench")
    trusted, log = folder / "trusted.pem", folder / "store.log"
    trusted.write_bytes(authorities() + certificate.read_bytes())
    command = [*isolated_python(), "-I", str(_PROGRAM), str(certificate), str(folder / "key.pem"), str(models.parent)]
    with log.open("wb") as out:
        process = subprocess.Popen(tethered(command, os.getpid()), stdout=out, stdin=subprocess.DEVNULL)
    try:
        yield ObjectStore(f"https://127.0.0.1:{_port(process, log)}", trusted, log)
    finally:
        process.terminate()
        process.wait()


def authorities() -> bytes:
    """As many certificates as a client finds in the cloud: those of this system, or those that come with requests."""
    if _AUTHORITIES.is_file():
        return _AUTHORITIES.read_bytes()
    import certifi  # noqa: PLC0415 - where the system has none in that place

    return Path(certifi.where()).read_bytes()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + _PATIENCE
    while b"\n" not in (said := log.read_bytes()):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the store does not start: {said.decode(errors='replace')}")
        time.sleep(0.01)
    return int(said.split(b"\n")[0])
