"""`pilotlight deploy gcp --function records` with the real gcloud, on a fake Google Cloud; and its settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.cloud_run import PROJECT, REGION
from gcloud_fixtures import needs_gcloud
from gcp.deploy.conftest import SETTINGS, Deployment
from pilotlight.errors import FormatError
from pilotlight_cli.gcp.settings import read_settings

FROM_TOPIC = 'records = {topic = "rows", results = "scored", dead_letter = "rows-dead", failures = "rows-failed"}\n'
FROM_BUCKET = (
    'records = {bucket = "rows-bucket", results = "gs://rows-bucket/out", dead_letter = "dead", attempts = 7}\n'
)
TRIGGER = f"projects/{PROJECT}/locations/{REGION}/triggers/predict-records-123456"
SUBSCRIPTION = f"projects/{PROJECT}/subscriptions/eventarc-predict-records-123456-sub-1"


def prepare(deployment: Deployment, table: str) -> None:
    (deployment.folder / "gcp.toml").write_text(SETTINGS + table)


@needs_gcloud
def test_a_topics_messages_come_to_the_function_and_its_dead_letters_to_their_topic(deployment: Deployment) -> None:
    prepare(deployment, FROM_TOPIC)
    done = deployment.deploy("--function", "records")
    assert "has all traffic of predict-records (first deployment" in done.stdout
    assert "URL" not in done.stdout
    [(verb, body, _)] = deployment.google.functions.deployments
    assert verb == "POST"
    assert body["buildConfig"]["entryPoint"] == "score_records"
    trigger = body["eventTrigger"]
    assert trigger == {
        "eventType": "google.cloud.pubsub.topic.v1.messagePublished",
        "pubsubTopic": f"projects/{PROJECT}/topics/rows",
        "retryPolicy": "RETRY_POLICY_RETRY",
        "serviceAccountEmail": f"pilotlight-events@{PROJECT}.iam.gserviceaccount.com",
    } | {name: trigger[name] for name in ("triggerRegion",) if name in trigger}
    config = body["serviceConfig"]
    assert config["serviceAccountEmail"] == f"pilotlight-records@{PROJECT}.iam.gserviceaccount.com"
    assert (
        config["environmentVariables"].items()
        >= {
            "PILOTLIGHT_RESULTS": f"projects/{PROJECT}/topics/scored",
            "PILOTLIGHT_FAILURES": f"projects/{PROJECT}/topics/rows-failed",
            "PILOTLIGHT_STORE": "gs://models/team",
        }.items()
    )
    assert deployment.google.subscriptions[SUBSCRIPTION] == {
        "name": SUBSCRIPTION,
        "deadLetterPolicy": {"deadLetterTopic": f"projects/{PROJECT}/topics/rows-dead", "maxDeliveryAttempts": 5},
        "ackDeadlineSeconds": 600,
    }
    with deployment.google.functions.source() as package:
        names = set(package.namelist())
        assert {"main.py", "cloud_records.py", "model.lock", "requirements.txt"} <= names
        assert b"score_records" in package.read("main.py")

    deployment.deploy("--function", "records", "--json")
    assert [verb for verb, _, _ in deployment.google.functions.deployments] == ["POST", "PATCH"]


@needs_gcloud
def test_a_buckets_objects_come_to_the_function(deployment: Deployment) -> None:
    prepare(deployment, FROM_BUCKET)
    document = json.loads(deployment.deploy("--function", "records", "--json").stdout)
    assert (document["service"], document["before"]) == ("predict-records", None)
    [(_, body, _)] = deployment.google.functions.deployments
    assert body["eventTrigger"]["eventType"] == "google.cloud.storage.object.v1.finalized"
    assert body["eventTrigger"]["eventFilters"] == [{"attribute": "bucket", "value": "rows-bucket"}]
    assert body["eventTrigger"]["retryPolicy"] == "RETRY_POLICY_RETRY"
    assert deployment.google.subscriptions[SUBSCRIPTION]["deadLetterPolicy"]["maxDeliveryAttempts"] == 7


@needs_gcloud
def test_without_the_table_nothing_is_deployed(deployment: Deployment) -> None:
    done = deployment.deploy("--function", "records", code=1)
    assert "gcp.toml has no [test.records]; it says what is scored and where results go" in done.stderr
    assert deployment.google.functions.deployments == []


def test_a_timeout_that_would_cut_events_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gcp.toml").write_text(f"{SETTINGS}timeout = 59\n{FROM_TOPIC}")
    with pytest.raises(
        FormatError, match=r"\[test\].timeout: expected at least 60, because an event of records has 50"
    ):
        read_settings(tmp_path / "gcp.toml", "test")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('{results = "scored", dead_letter = "dead"}', r"\[test\].records: expected either a topic or a bucket"),
        ('{topic = "rows", bucket = "b1b", results = "r12", dead_letter = "dead"}', "expected either a topic or a buc"),
        ('{topic = "rows", results = "s3://bucket", dead_letter = "dead"}', "records.results: expected a topic's name"),
        ('{topic = "rows", results = "scored"}', "dead_letter"),
        ('{topic = "rows", results = "scored", dead_letter = "dead", attempts = 4}', "records.attempts: "),
        ('{topic = "rows", results = "scored", dead_letter = "dead", service_account = "me"}', "the address of a serv"),
    ],
)
def test_a_wrong_table_is_named_with_its_place(table: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "gcp.toml").write_text(f"{SETTINGS}records = {table}\n")
    with pytest.raises(FormatError, match=expected):
        read_settings(tmp_path / "gcp.toml", "test")
