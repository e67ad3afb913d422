"""What this project asks of gcloud, done by hand over HTTP: for machines without gcloud, and where its second counts.

Run as a program it is `pilotlight rollout`'s process to be killed: see `main`.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from fakes.cloud_functions import PARENT
from fakes.cloud_run import PROJECT
from fakes.google_cloud import identity_token
from pilotlight_cli.gcp.deploy import Operator, rollout_of
from pilotlight_cli.gcp.gcloud import Completed
from pilotlight_cli.gcp.golden import expected_of
from pilotlight_cli.gcp.platform import connect
from pilotlight_cli.gcp.settings import read_settings
from repository import LOCK

_HEADERS = {"Authorization": "Bearer ya29.stand-in"}


def gcloud(arguments: Sequence[str]) -> Completed:
    """Return a run of gcloud; see `gcloud.Run`."""
    words = [argument for argument in arguments if not argument.startswith("--")]
    options = dict(argument[2:].partition("=")[::2] for argument in arguments if argument.startswith("--"))
    try:
        answer = _answer(words, options)
    except requests.HTTPError as error:
        return Completed(1, "", f"ERROR: status=[{error.response.status_code}]: {error.response.text}")
    return Completed(0, answer if isinstance(answer, str) else json.dumps(answer), "")


def _answer(words: list[str], options: dict[str, str]) -> Any:
    match words:
        case ["auth", "print-access-token"]:
            answer: Any = "ya29.stand-in"
        case ["auth", "print-identity-token"]:
            answer = identity_token(options["audiences"])
        case ["functions", "describe", name]:
            answer = _ask("GET", f"http://cloudfunctions.test/v2/{PARENT}/functions/{name}")
        case ["functions", "deploy", name]:
            answer = _deploy(name, options)
        case ["run", "services", "update-traffic", name]:
            answer = _move(name, options)
        case ["logging", "read", wanted]:
            body = {"filter": wanted, "pageSize": int(options["limit"])}
            answer = _ask("POST", "http://logging.test/v2/entries:list", body)["entries"]
        case _:
            raise AssertionError(f"the stand-in does not know {words}")
    return answer


def _ask(method: str, url: str, body: object = None) -> Any:
    reply = requests.request(method, url, json=body, headers=_HEADERS, timeout=30)
    reply.raise_for_status()
    return reply.json()


def _deploy(name: str, options: dict[str, str]) -> Any:
    functions = f"http://cloudfunctions.test/v2/{PARENT}/functions"
    upload = _ask("POST", f"{functions}:generateUploadUrl", {})
    requests.put(upload["uploadUrl"], data=_zipped(Path(options["source"])), timeout=30).raise_for_status()
    body = {
        "buildConfig": {"runtime": options["runtime"], "source": {"storageSource": upload["storageSource"]}},
        "serviceConfig": {"environmentVariables": _pairs(options["set-env-vars"].removeprefix("^|^"), "|")},
        "labels": _pairs(options["update-labels"]),
    }
    there = requests.get(f"{functions}/{name}", headers=_HEADERS, timeout=30).status_code == 200
    operation = _ask(
        "PATCH" if there else "POST", f"{functions}/{name}" if there else f"{functions}?functionId={name}", body
    )
    if "error" in operation:
        reply = requests.Response()
        reply.status_code, reply._content = 400, json.dumps(operation["error"]).encode()
        raise requests.HTTPError(response=reply)
    return _ask("GET", f"{functions}/{name}")


def _move(name: str, options: dict[str, str]) -> Any:
    url = f"http://europe-west1-run.test/apis/serving.knative.dev/v1/namespaces/{PROJECT}/services/{name}"
    service = _ask("GET", url)
    traffic = service["spec"]["traffic"]
    if "to-revisions" in options:
        tags = [{key: line[key] for key in line if key != "percent"} for line in traffic if line.get("tag")]
        percents = _pairs(options["to-revisions"]).items()
        traffic = [{"revisionName": revision, "percent": int(percent)} for revision, percent in percents] + tags
    else:
        tag, revision = options["update-tags"].split("=")
        traffic = [line for line in traffic if line.get("tag") != tag] + [{"revisionName": revision, "tag": tag}]
    service["spec"]["traffic"] = traffic
    return _ask("PUT", url, service)


def _pairs(text: str, between: str = ",") -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in text.split(between))


def _zipped(folder: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
    return out.getvalue()


def main() -> None:
    """Start or go on with the rollout on a service, a hundred times as fast: settings file, old and new revision."""
    file, *revisions = sys.argv[1:]
    begun = time.monotonic()

    def fast() -> float:
        return (time.monotonic() - begun) * 100

    settings = read_settings(Path(file), "test")
    google = connect(settings, os.environ, run=gcloud, clock=fast, sleep=lambda seconds: time.sleep(seconds / 100))
    operator = Operator(print, lambda _: True, lambda _: None, lambda: datetime.now(UTC))
    rollout = rollout_of(google, operator, "predict", expected_of(LOCK))
    print(rollout.start(*revisions) if revisions else rollout.run())


if __name__ == "__main__":
    main()
