"""What a cold start imports, held against a committed list: an import is milliseconds that every user pays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import prepared, sample, stored
from pilotlight_cli.hostenv import isolated_python

LISTS = Path(__file__).parent
PROGRAM = "import sys, {entry}; {entry}; import json; print(json.dumps(sorted(sys.modules)))"


def cold_imports(cloud: str, folder: Path, kind: str = "predict") -> set[str]:
    """Return the modules after a cold start that fetched the sample from the cloud's own kind of store.

    Our own modules count one by one, other packages as a whole.
    """
    entry, starting, deadline = {
        "aws": ("handler", "execution_environment", "deadline=9.0 "),
        "gcp": ("main", "cloud_instance", "deadline=30.0,"),
    }[cloud]
    given = {"aws": {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"}, "gcp": {}}[cloud]  # the platform's own
    if kind == "records":
        entry = {"aws": "records_handler", "gcp": entry}[cloud]
        given = {**given, "PILOTLIGHT_RESULTS": {"aws": "s3://results", "gcp": "gs://models/results"}[cloud]}
    model = sample(folder)
    with stored(cloud, model) as store, prepared(cloud, model, store, given, kind) as function:
        file = function.folder / f"{starting}.py"
        assert file.read_text().count(deadline) == 1
        file.write_text(
            file.read_text().replace(deadline, f"deadline=300.0{deadline[-1]}")
        )  # or a stall ends the start
        command = [*isolated_python(), "-c", PROGRAM.format(entry=entry)]
        done = subprocess.run(
            command, cwd=function.folder, env=function.environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    modules = json.loads(done.stdout.splitlines()[-1])
    return {name if name.startswith("pilotlight") else name.partition(".")[0] for name in modules if name[0] != "_"}


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_a_cold_start_imports_what_the_committed_list_says(cloud: str, tmp_path: Path) -> None:
    listed = set((LISTS / f"cold_imports_{cloud}.txt").read_text().split())
    found = cold_imports(cloud, tmp_path)
    standard = set(sys.stdlib_module_names)
    assert found - standard == listed - standard
    # Which modules of the standard library they pull in differs between Python's versions; more than listed is news.
    assert found & standard <= listed & standard


ROOM_OF_RECORDS = {
    *("pilotlight.codec.csv", "pilotlight.codec.batches", "pilotlight.codec.tables", "pilotlight.records"),
    *(f"pilotlight.records.{name}" for name in ("bulk", "decode", "groups", "objects", "results", "score")),
}


OF_EVENTS = {
    "aws": {
        *("clients", "destinations", "direct_events", "dynamodb_values", "envelopes", "event_sources"),
        *("failure_rules", "record_events", "records_handler", "s3_objects"),
        *("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3"),
    },
    "gcp": {"cloud_destinations", "cloud_events", "cloud_records", "google_api"},
}


@pytest.mark.parametrize("cloud", OF_EVENTS)
def test_a_function_for_records_adds_what_is_named_here_to_the_start_of_predict(cloud: str, tmp_path: Path) -> None:
    """What reads events and writes results, and the core's room of records. AWS's has boto3, Google's no client."""
    listed = set((LISTS / f"cold_imports_{cloud}.txt").read_text().split())
    found = cold_imports(cloud, tmp_path, "records") - listed - set(sys.stdlib_module_names)
    assert found == OF_EVENTS[cloud] | ROOM_OF_RECORDS
