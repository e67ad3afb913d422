"""The golden samples, sent to a revision on the platform itself, and its answers held against them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from pilotlight.codec.golden_requests import disagreements, to_request
from pilotlight.model.golden import Golden, read_golden
from pilotlight.model.lock import GOLDEN, Description, load_lock
from pilotlight_cli.gcp.logs import AGENT
from pilotlight_cli.staging.sources import beside, check_golden

_TIMEOUT = (10, 65)  # seconds to connect, and for an answer: a function's own limit is 60
_START_SECONDS = 180.0  # for an instance to start and a fresh role to work
_GLANCE = 3.0
_MOST = 3  # sentences


@dataclass(frozen=True, slots=True)
class Expected:
    """The model that a lock pins, what its publisher saw, and the beginning of the lock's SHA-256."""

    model: Description
    golden: Golden
    lock: str


def expected_of(lock: Path) -> Expected:
    """Read a lock and the golden samples beside it. Raises FormatError."""
    pinned = load_lock(lock)
    check_golden(pinned, lock)
    golden = read_golden(beside(lock, GOLDEN))
    return Expected(pinned.model, golden, hashlib.sha256(lock.read_bytes()).hexdigest()[:16])


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever calls the function: its identity token, and how long it waits for an instance to start."""

    token: Callable[[], str]
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def check(self, url: str, expected: Expected, mark: str) -> tuple[int, list[str]]:
        """Send all samples to a URL: how many requests were answered, and sentences for what was wrong.

        First comes a request for /health/ready, repeated until an instance is up: its start is no sample's time. The
        requests carry `mark`, by which they are found in the request log.
        """
        with requests.Session() as session:
            session.headers.update({"Authorization": f"Bearer {self.token()}", "User-Agent": f"{AGENT}start-{mark}"})
            trouble = self._wait_until_ready(session, url)
            if trouble:
                return 0, [trouble]
            session.headers["User-Agent"] = AGENT + mark
            return _send_all(session, url, expected)

    def _wait_until_ready(self, session: requests.Session, url: str) -> str:
        end = self.clock() + _START_SECONDS
        while True:
            status, document = _ask(session, "GET", f"{url}/health/ready", None)
            if status == 200:
                return ""
            if self.clock() > end:
                return f"{url}/health/ready answers {_error_text(status, document)} after {_START_SECONDS:.0f} s"
            self.sleep(_GLANCE)


def _send_all(session: requests.Session, url: str, expected: Expected) -> tuple[int, list[str]]:
    answered, wrong = 0, []
    model = expected.model
    for number, sample in enumerate(expected.golden.samples, 1):
        request = to_request(model.signature, sample)
        if request is None:  # it holds NaN or an infinity, which JSON cannot write
            continue
        status, document = _ask(session, "POST", url + request.path, request.body)
        answered += status > 0
        if status != 200:
            wrong.append(f"sample {number}: {_error_text(status, document)}")
            continue
        served = (document.get("model_name"), document.get("model_version"))
        if served != (model.name, model.version):
            wrong.append(f"sample {number}: {served[0]}:{served[1]} answers, expected {model.name}:{model.version}")
            continue
        wrong += [
            f"sample {number}: {text}" for text in disagreements(model.signature, expected.golden, sample, document)
        ]
    return answered, wrong[:_MOST] + ([f"and {len(wrong) - _MOST} more"] if len(wrong) > _MOST else [])


def _ask(session: requests.Session, method: str, url: str, body: object) -> tuple[int, dict[str, Any]]:
    """Status and document of an answer; 0 where there is none."""
    try:
        reply = session.request(method, url, json=body, timeout=_TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        return 0, {"error": f"no answer ({error})"}
    try:
        document = reply.json()
    except ValueError:
        document = {"error": reply.text[:200]}
    return reply.status_code, document if isinstance(document, dict) else {}


def _error_text(status: int, document: dict[str, Any]) -> str:
    said = document.get("error") or document
    if status == 403:
        said = f"{said}; whoever calls needs roles/run.invoker on the service ('invoker' in gcp.toml)"
    return f"{status}: {said}" if status else str(said)
