"""Asks a version of the function what it is, sends it its own golden samples, and holds the answers against them."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.codec.golden_requests import disagreements, to_request
from pilotlight.errors import FormatError
from pilotlight.model.golden import Golden, read_golden
from pilotlight.model.lock import read_lock
from pilotlight.model.signature import Signature

DESCRIBE = {"pilotlight": "describe"}

# A sample over the budget may have met another environment's cold start, so it is sent again.
_TRIES = 3
_SHOWN = 3

# So long samples are sent, in seconds, and the first one in any case: a hook's time is short, and `pilotlight verify`
# has sent all of them before the deployment.
SAMPLES_SECONDS = 15.0


# So long a version may go on loading after it has answered that it is not ready, and so long is between two looks.
READY_SECONDS = 10.0
_PAUSE = 0.5


class CheckFailed(Exception):
    """What speaks against a version, as a sentence."""


@dataclass(frozen=True, slots=True)
class Functions:
    """Invokes one function, by version or alias. `clock` is a monotonic clock, and `sleep` waits, both in seconds."""

    client: Any
    name: str
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def invoke(self, qualifier: str, event: Mapping[str, Any]) -> tuple[Any, float]:
        """What an event gives, and in how many milliseconds. Raises CheckFailed for an error of the function's."""
        began = self.clock()
        reply = self.client.invoke(FunctionName=self.name, Qualifier=qualifier, Payload=json.dumps(event).encode())
        payload = reply["Payload"].read()
        took = (self.clock() - began) * 1000
        if "FunctionError" in reply:
            raise CheckFailed(f"{self.name}:{qualifier} failed: {payload[:500].decode(errors='replace')}")
        try:
            return json.loads(payload), took
        except ValueError:
            raise CheckFailed(f"{self.name}:{qualifier} answered no JSON: {payload[:500]!r}") from None


@dataclass(frozen=True, slots=True)
class Version:
    """What a version says of itself."""

    number: str
    model: str
    signature: Signature
    golden: Golden


def read_version(functions: Functions, qualifier: str) -> Version:
    """Ask a version or an alias what it is. Raises CheckFailed."""
    answer, _ = functions.invoke(qualifier, DESCRIBE)
    try:
        model = read_lock(json.dumps(answer["model"]).encode()).model
        golden = read_golden(json.dumps(answer["golden"]).encode())
        return Version(str(answer["function_version"]), f"{model.name}:{model.version}", model.signature, golden)
    except (KeyError, TypeError, FormatError) as error:
        raise CheckFailed(
            f"{functions.name}:{qualifier} does not say what it is: {type(error).__name__}: {error}"
        ) from None


def check_samples(functions: Functions, qualifier: str, version: Version, budget_ms: float, most: int = 1000) -> str:
    """Send up to `most` golden samples, each of which has to be answered as published and within the budget.

    The model has to be ready in any case; samples that JSON cannot write, with NaN in them, are left out, and so are
    those for which there is no time. Raises CheckFailed; else it returns what was seen, as the end of a sentence.
    """
    _wait_until_ready(functions, qualifier)
    times: list[float] = []
    end = functions.clock() + SAMPLES_SECONDS
    for number, sample in enumerate(version.golden.samples[:most], 1):
        request = to_request(version.signature, sample)
        if request is None:
            continue
        if times and functions.clock() > end:
            break
        event = http_event("POST", request.path, json.dumps(request.body))
        reply, took = _quickest(functions, qualifier, event, budget_ms)
        _check_reply(version, number, reply)
        if took > budget_ms:
            raise CheckFailed(
                f"golden sample {number} took {took:.0f} ms at best of {_TRIES}, and the budget is {budget_ms:.0f} ms"
            )
        times.append(took)
    return (
        f"serves {version.model} and answers {len(times)} of its {len(version.golden.samples)} golden sample(s) as "
        f"published, in {max(times, default=0):.0f} ms or less"
    )


def _wait_until_ready(functions: Functions, qualifier: str) -> None:
    """A version's number has no instances ready, whatever its alias has: its start may go on after its init."""
    end = functions.clock() + READY_SECONDS
    while True:
        ready, _ = functions.invoke(qualifier, http_event("GET", "/health/ready"))
        if _status(ready) == 200:
            return
        if _status(ready) != 503 or functions.clock() > end:
            raise CheckFailed(f"{functions.name}:{qualifier} is not ready: {_text(ready)}")
        functions.sleep(_PAUSE)


def _check_reply(version: Version, number: int, reply: Any) -> None:  # noqa: ANN401 - what a function answers
    """Raise CheckFailed unless a reply is what was published for that golden sample, by its number from 1."""
    if _status(reply) != 200:
        raise CheckFailed(f"golden sample {number} is answered {_text(reply)}")
    sample = version.golden.samples[number - 1]
    wrong = disagreements(version.signature, version.golden, sample, json.loads(_body(reply)))
    if wrong:
        raise CheckFailed(f"golden sample {number} is answered otherwise than published: {'; '.join(wrong[:_SHOWN])}")


def http_event(method: str, path: str, body: str = "") -> dict[str, Any]:
    """A request as API Gateway's HTTP API sends it: payload format 2.0, as far as the function reads it.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "pilotlight"}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "user-agent": "pilotlight"},
        "requestContext": {"http": http, "stage": "$default"},
        "isBase64Encoded": False,
    }
    return event | ({"body": body} if body else {})


def _quickest(functions: Functions, qualifier: str, event: Mapping[str, Any], budget_ms: float) -> tuple[Any, float]:
    """The reply within the budget, or the last one, with the shortest time that was seen."""
    times = []
    for _ in range(_TRIES):
        reply, took = functions.invoke(qualifier, event)
        times.append(took)
        if took <= budget_ms:
            break
    return reply, min(times)


def _status(reply: object) -> object:
    return reply.get("statusCode") if isinstance(reply, dict) else None


def _body(reply: dict[str, Any]) -> bytes:
    body = str(reply.get("body", ""))
    return b64decode(body) if reply.get("isBase64Encoded") else body.encode()


def _text(reply: object) -> str:
    return json.dumps(reply)[:500]
