"""Asks a version of the function to describe itself, sends it its golden samples, and compares the responses."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from pilotlight.codec.golden_requests import GoldenRequest, compare_samples, error_text
from pilotlight.errors import FormatError
from pilotlight.model.golden import Golden, read_golden
from pilotlight.model.lock import Description, read_lock

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

DESCRIBE = {"pilotlight": "describe"}

# A sample over the budget may have met the cold start of another environment, so it is sent again.
_ATTEMPTS = 3

# Time to send samples in, after the first one: a hook's time is short, and the deployment has sent all of them in its
# verification.
SAMPLES_SECONDS = 15.0


# Time for a version to finish loading after its first response says that it is not ready.
READY_SECONDS = 10.0
_POLL_SECONDS = 0.5


class CheckFailed(Exception):
    """A version failed a check; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Functions:
    """Invokes one function, by version or alias. `clock` is a monotonic clock, and `sleep` waits, both in seconds."""

    client: LambdaClient
    name: str
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def invoke(self, qualifier: str, event: Mapping[str, Any]) -> tuple[Any, float]:
        """Return the result of an event and its milliseconds. Raise CheckFailed if the function fails."""
        began = self.clock()
        response = self.client.invoke(FunctionName=self.name, Qualifier=qualifier, Payload=json.dumps(event).encode())
        payload = response["Payload"].read()
        took = (self.clock() - began) * 1000
        if response.get("FunctionError"):
            raise CheckFailed(f"{self.name}:{qualifier} failed: {payload[:500].decode(errors='replace')}")
        try:
            return json.loads(payload), took
        except ValueError:
            raise CheckFailed(f"{self.name}:{qualifier} returned no JSON: {payload[:500]!r}") from None


@dataclass(frozen=True, slots=True)
class Version:
    """A version's description of itself. `breaking` says that its lock allows it to break callers."""

    number: str
    model: Description
    golden: Golden
    breaking: bool = False


def read_version(functions: Functions, qualifier: str) -> Version:
    """Return the description of a version or an alias. Raise CheckFailed if it has none."""
    description, _ = functions.invoke(qualifier, DESCRIBE)
    try:
        lock = read_lock(json.dumps(description["model"]).encode())
        golden = read_golden(json.dumps(description["golden"]).encode())
        return Version(str(description["function_version"]), lock.model, golden, lock.breaking)
    except (KeyError, TypeError, FormatError) as error:
        raise CheckFailed(
            f"{functions.name}:{qualifier} returned no valid description: {type(error).__name__}: {error}"
        ) from None


def read_target(functions: Functions, number: str) -> Version:
    """Return the description of a version by its number. Raise CheckFailed if another one responds."""
    version = read_version(functions, number)
    if version.number != number:
        raise CheckFailed(f"expected version {number} of {functions.name} to respond, found version {version.number}")
    return version


def check_samples(functions: Functions, qualifier: str, version: Version, budget_ms: float, most: int = 1000) -> str:
    """Send up to `most` golden samples; each response has to be as published, and within the budget.

    Skip samples that JSON cannot represent, and those after SAMPLES_SECONDS. Return the finding as the end of a
    sentence. Raise CheckFailed if the model is not ready or a sample fails.
    """
    _wait_until_ready(functions, qualifier)
    times: list[float] = []

    def send(request: GoldenRequest) -> tuple[int, object]:
        event = http_event("POST", request.path, json.dumps(request.body))
        result, took = _quickest(functions, qualifier, event, budget_ms)
        times.append(took)
        return http_response(result)

    deadline = functions.clock() + SAMPLES_SECONDS
    for compared in islice(compare_samples(version.model, version.golden, send), most):
        if compared.problem:
            raise CheckFailed(compared.message)
        if times and times[-1] > budget_ms:
            raise CheckFailed(
                f"golden sample {compared.number} took {times[-1]:.0f} ms at best of {_ATTEMPTS}, over the budget of "
                f"{budget_ms:.0f} ms"
            )
        if times and functions.clock() > deadline:
            break
    name = f"{version.model.name}:{version.model.version}"
    return (
        f"serves {name} and answers {len(times)} of its {len(version.golden.samples)} golden sample(s) as published, "
        f"in {max(times, default=0):.0f} ms or less"
    )


def _wait_until_ready(functions: Functions, qualifier: str) -> None:
    """Wait for the model: a version invoked by number has no provisioned instances, and may load after its init."""
    deadline = functions.clock() + READY_SECONDS
    while True:
        result, _ = functions.invoke(qualifier, http_event("GET", "/health/ready"))
        status, document = http_response(result)
        if status == 200:
            return
        if status != 503 or functions.clock() > deadline:
            raise CheckFailed(f"{functions.name}:{qualifier} is not ready: status {status}: {error_text(document)}")
        functions.sleep(_POLL_SECONDS)


def http_event(method: str, path: str, body: str = "") -> dict[str, Any]:
    """Return a request to the pinned version as an event of an HTTP API, as far as the function reads payload 2.0.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "pilotlight"}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "user-agent": "pilotlight", "x-pilotlight-variant": "control"},
        "requestContext": {"http": http, "stage": "$default"},
        "isBase64Encoded": False,
    }
    return event | ({"body": body} if body else {})


def _quickest(functions: Functions, qualifier: str, event: Mapping[str, Any], budget_ms: float) -> tuple[Any, float]:
    """Return the first result within the budget, or the last one, and the shortest time."""
    times = []
    for _ in range(_ATTEMPTS):
        result, took = functions.invoke(qualifier, event)
        times.append(took)
        if took <= budget_ms:
            break
    return result, min(times)


def http_response(result: object) -> tuple[int, object]:
    """Return the status and the document, or the text, of an HTTP response that a function returned."""
    match result:
        case {"statusCode": int(status), "body": str(body), **rest}:
            text = b64decode(body).decode(errors="replace") if rest.get("isBase64Encoded") else body
            try:
                return status, json.loads(text)
            except ValueError:
                return status, text
    return 0, f"the function returned {json.dumps(result)}"
