"""The start of the function on Google Cloud, in a process of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness import prepared, sample
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.stores import EmbeddedStore

FROZEN = "import gc, main; print(gc.isenabled(), gc.get_freeze_count() > 10_000)"

CLIENT = """
import functions_framework
client = functions_framework.create_app("predict").test_client()
health, reply = client.get("/health").get_json(), client.post("/predict", json={"features": [1.0] * 30})
print(health["status"], reply.status_code)
"""


@pytest.mark.parametrize(
    ("program", "printed"), [(FROZEN, "True True"), (CLIENT, "ready 200")], ids=["collections", "no fork"]
)
def test_a_start_freezes_what_workers_share_and_serves_without_one_too(
    program: str, printed: str, tmp_path: Path
) -> None:
    model = sample(tmp_path)
    with prepared("gcp", model, EmbeddedStore(tmp_path.as_uri(), {}), {"PILOTLIGHT_THREADS": "2"}) as function:
        done = subprocess.run(
            [*isolated_python(), "-c", program],
            cwd=function.folder,
            env=function.environment,
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.splitlines()[-1] == printed
