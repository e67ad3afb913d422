"""Google's own emulator of Firestore on this machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from pilotlight_cli.local.process import free_port
from waiting import wait_until

_JAR = Path("/usr/lib/google-cloud-sdk/platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")
_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
_QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # half of the processor time of a short life
ROOT = "projects/demo/databases/(default)/documents"


@contextmanager
def firestore() -> Iterator[str]:
    """Run it without a document; yield its host and port."""
    if not _JAR.exists() or shutil.which("java") is None:
        pytest.skip(
            "no emulator of Firestore on this machine (google-cloud-cli-firestore-emulator): not looked up there"
        )
    host = f"127.0.0.1:{free_port()}"
    command = ["java", *_QUICK, "-cp", str(_JAR), _MAIN, "start", "--host=127.0.0.1", f"--port={host.split(':')[1]}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _answers(host), limit=120)
            yield host
        finally:
            process.kill()


def write(host: str, documents: Mapping[str, Mapping[str, Any]]) -> None:
    """Write documents by their paths below the root, all in one commit."""
    writes = [{"update": {"name": f"{ROOT}/{path}", "fields": fields}} for path, fields in documents.items()]
    requests.post(f"http://{host}/v1/{ROOT}:commit", json={"writes": writes}, timeout=60).raise_for_status()


def _answers(host: str) -> bool:
    try:
        return requests.get(f"http://{host}/", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False
