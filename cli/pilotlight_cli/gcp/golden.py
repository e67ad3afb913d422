"""Sends the golden samples to a revision on Google Cloud."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from pilotlight.codec.golden_requests import GoldenRequest, compare_samples, error_text
from pilotlight.model.golden import Golden
from pilotlight.model.lock import GOLDEN, Description, load_lock
from pilotlight_cli.gcp.logs import AGENT
from pilotlight_cli.registry.golden_file import golden_of
from pilotlight_cli.staging.sources import beside, check_companions

_TIMEOUT = (10, 65)  # seconds to connect, and to read: a function's own limit is 60
_START_SECONDS = 180.0  # for an instance to start and a fresh role to take effect
_POLL_SECONDS = 3.0
_MAX_MESSAGES = 3


@dataclass(frozen=True, slots=True)
class Expected:
    """The model that a lock pins, its golden samples, and the first 16 hexadecimal digits of the lock's SHA-256.

    `breaking` says that the lock allows it to break callers. `callers` are requests of another version's callers, which
    have to be answered with 200.
    """

    model: Description
    golden: Golden
    lock: str
    breaking: bool = False
    callers: tuple[GoldenRequest, ...] = ()


def expected_of(lock: Path) -> Expected:
    """Read a lock and the golden samples beside it. Raise FormatError if one is malformed."""
    pinned = load_lock(lock)
    check_companions(pinned, lock)
    golden = golden_of(pinned.model.signature, beside(lock, GOLDEN))
    return Expected(pinned.model, golden, hashlib.sha256(lock.read_bytes()).hexdigest()[:16], pinned.breaking)


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller of the function with an identity token. `clock` is monotonic, and `sleep` waits, both in seconds."""

    token: Callable[[], str]
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def check(self, url: str, expected: Expected, mark: str) -> tuple[int, list[str]]:
        """Send all samples and callers' requests to a URL; return how many responses came, and a message a problem.

        Wait first until /health/ready returns 200, so that no sample waits for an instance to start. The requests
        carry `mark`, which identifies them in the request log.
        """
        with requests.Session() as session:
            session.headers.update({"Authorization": f"Bearer {self.token()}", "User-Agent": f"{AGENT}start-{mark}"})
            session.headers["x-pilotlight-variant"] = "control"  # an experiment would choose a version
            problem = self._wait_until_ready(session, url)
            if problem:
                return 0, [problem]
            session.headers["User-Agent"] = AGENT + mark
            return _send_all(session, url, expected)

    def _wait_until_ready(self, session: requests.Session, url: str) -> str:
        """Return what keeps an instance from being ready; an empty string once it is."""
        deadline = self.clock() + _START_SECONDS
        while True:
            status, document = _request(session, "GET", f"{url}/health/ready", None)
            if status == 200:
                return ""
            if self.clock() > deadline:
                found = f"status {status}" if status else "no response"
                return f"{url}/health/ready: {found} after {_START_SECONDS:.0f} s: {error_text(document)}"
            self.sleep(_POLL_SECONDS)


def _send_all(session: requests.Session, url: str, expected: Expected) -> tuple[int, list[str]]:
    def send(request: GoldenRequest) -> tuple[int, object]:
        return _request(session, "POST", url + request.path, request.body)

    results = list(compare_samples(expected.model, expected.golden, send))
    wrong = [result.message for result in results if result.problem]
    statuses = [result.status for result in results]
    for number, request in enumerate(expected.callers, 1):
        status, document = send(request)
        statuses.append(status)
        if status != 200:
            found = f"status {status}, expected 200" if status else "no response"
            wrong.append(f"request {number} of the callers before: {found}: {error_text(document)}")
    more = [f"and {len(wrong) - _MAX_MESSAGES} more"] if len(wrong) > _MAX_MESSAGES else []
    return sum(status > 0 for status in statuses), wrong[:_MAX_MESSAGES] + more


def _request(session: requests.Session, method: str, url: str, body: object) -> tuple[int, object]:
    """Return the status of a response and its document, or its text; 0 and the reason where none came."""
    try:
        response = session.request(method, url, json=body, timeout=_TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        return 0, str(error)
    try:
        document = response.json()
    except ValueError:
        document = response.text
    if response.status_code == 403:
        hint = "the caller needs roles/run.invoker on the service ('invoker' in gcp.toml)"
        return 403, f"{hint}: {error_text(document)}"
    return response.status_code, document
