"""The start of the function on Google Cloud, in a process of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness import prepared, sample
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.stores import EmbeddedStore

FROZEN = "import gc, main; print(gc.isenabled(), gc.get_freeze_count() > 10_000)"


def test_collections_pass_over_what_a_start_has_made_and_workers_share(tmp_path: Path) -> None:
    model = sample(tmp_path)
    with prepared("gcp", model, EmbeddedStore(tmp_path.as_uri(), {}), {}) as function:
        done = subprocess.run(
            [*isolated_python(), "-c", FROZEN],
            cwd=function.folder,
            env=function.environment,
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.splitlines()[-1] == "True True"
