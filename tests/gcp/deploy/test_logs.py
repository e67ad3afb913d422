"""`pilotlight logs gcp` and `experiment status`, through the real gcloud on the fake log."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from gcloud_fixtures import needs_gcloud
from gcp.deploy.conftest import SETTINGS, Deployment
from local_lock import write_next
from repository import copied_project

MODEL = {"model_name": "a", "model_version": 2}


@needs_gcloud
def test_requests_are_one_table_and_a_start_marks_the_next_request_of_its_instance(deployed: Deployment) -> None:
    request: dict[str, object] = {
        "event": "request",
        "method": "POST",
        "route": "/predict",
        "status": 200,
        "latency_ms": 1.25,
        "rows": 3,
    }
    start: dict[str, object] = {"event": "cold_start", "state": "ready", "phases_ms": {"total": 118.9}}
    own = {"experiment": "mine", "variant": "control", "assigned": "control", "bucket": 7000}
    written: list[tuple[str, dict[str, object]]] = [("i1", start), ("i2", request), ("i1", {**request, **own})]
    for number, (instance, record) in enumerate(written):
        payload = {**record, **MODEL, "request_id": f"r{number}"}
        moment = time.strftime(f"%Y-%m-%dT%H:%M:%S.{number}00000Z", time.gmtime())
        entry = {
            "insertId": str(number),
            "timestamp": moment,
            "labels": {"instanceId": instance},
            "jsonPayload": payload,
        }
        deployed.google.records.append(entry)
    root = copied_project(deployed.folder / "project").root
    (root / "gcp.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "pilotlight_cli.main", "-C", str(root), "logs", "gcp", "--env", "test"]
    other = [*command, "--function", "records"]
    gone = subprocess.run(other, env=deployed.environ, capture_output=True, text=True, check=False)
    assert (gone.returncode, "-records" in gone.stderr) == (1, True), gone.stderr  # it is not deployed
    done = subprocess.run(command, env=deployed.environ, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("time (UTC)"), done.stderr
    assert [" ".join(line.split()[2:]) for line in done.stdout.splitlines()[1:]] == [
        "200 1.2 ms POST /predict 3 a:2 r1",
        "200 1.2 ms POST /predict 3 a:2 cold 119 ms r2",
    ]

    write_next(root / "model.lock", "mine", ((0, 5000),))
    command[-4:] = ["experiment", "status", "--cloud", "gcp", "--env", "test", "--json"]
    done = subprocess.run(command, env=deployed.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [one["requests"] for one in json.loads(done.stdout)["variants"]] == [1, 0]
