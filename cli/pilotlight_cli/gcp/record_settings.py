"""The table `[ENV.records]` of `gcp.toml`: what the function for records scores, and where its results go."""

from __future__ import annotations

from dataclasses import dataclass

from pilotlight.model.json_document import Node

ACCOUNT = r"[a-z0-9-]{1,63}@[a-z0-9.-]+\.gserviceaccount\.com"

_TOPIC = r"[A-Za-z][A-Za-z0-9_.~+%-]{2,254}"
_BUCKET = r"[a-z0-9][a-z0-9._-]+[a-z0-9]"

# https://cloud.google.com/pubsub/docs/dead-letter-topics
_LEAST, _MOST = 5, 100


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """What events come from a topic or a bucket, one of which is empty; where results and failures go.

    `results` and `failures` are values of the function's settings. `dead_letter` is the topic that gets an event after
    so many `attempts`. `service_account` is the function's identity, `trigger_account` that of Eventarc.
    """

    topic: str
    bucket: str
    results: str
    failures: str
    dead_letter: str
    attempts: int
    service_account: str
    trigger_account: str

    @property
    def trigger(self) -> tuple[str, ...]:
        """The options of gcloud for what calls the function. Without --retry a failed event would be lost."""
        if self.topic:
            source: tuple[str, ...] = (f"--trigger-topic={self.topic}",)
        else:
            kind = "type=google.cloud.storage.object.v1.finalized"
            source = (f"--trigger-event-filters={kind}", f"--trigger-event-filters=bucket={self.bucket}")
        account = f"--trigger-service-account={self.trigger_account}"
        return "--entry-point=score_records", *source, "--retry", account

    @property
    def variables(self) -> dict[str, str]:
        """The function's environment variables."""
        failures = {"PILOTLIGHT_FAILURES": self.failures} if self.failures else {}
        return {"PILOTLIGHT_RESULTS": self.results, **failures}


def read_records(node: Node, project: str) -> RecordSettings:
    """Read the table of a project's environment. Raises FormatError with the place."""
    optional = ("topic", "bucket", "failures", "attempts", "service_account", "trigger_account")
    fields = node.fields("results", "dead_letter", optional=optional)
    if ("topic" in fields) == ("bucket" in fields):
        raise node.fail("either a topic or a bucket")
    accounts = {
        name: fields.get(name, Node(f"{default}@{project}.iam.gserviceaccount.com"))
        for name, default in (("service_account", "pilotlight-records"), ("trigger_account", "pilotlight-events"))
    }
    return RecordSettings(
        topic=fields["topic"].string(_TOPIC, "a topic's name") if "topic" in fields else "",
        bucket=fields["bucket"].string(_BUCKET, "a bucket's name") if "bucket" in fields else "",
        results=_place(fields["results"], project),
        failures=_place(fields["failures"], project) if "failures" in fields else "",
        dead_letter=fields["dead_letter"].string(_TOPIC, "a topic's name"),
        attempts=fields.get("attempts", Node(_LEAST)).integer(at_least=_LEAST, at_most=_MOST),
        **{name: found.string(ACCOUNT, "the address of a service account") for name, found in accounts.items()},
    )


def _place(node: Node, project: str) -> str:
    place = node.string(rf"{_TOPIC}|gs://{_BUCKET}(/[^\s|]+)?", "a topic's name or gs://bucket/prefix")
    return place if place.startswith("gs://") else f"projects/{project}/topics/{place}"
