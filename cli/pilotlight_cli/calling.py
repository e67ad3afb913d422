"""`pilotlight call`: a request to a deployed function, as it is sent or as a command or a program that sends it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.codec.golden_requests import GoldenRequest, to_request
from pilotlight.errors import PilotlightError
from pilotlight.model.lock import GOLDEN, load_lock
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.registry.golden_file import golden_of
from pilotlight_cli.staging.sources import beside

if TYPE_CHECKING:
    from pilotlight_cli.project.folders import ModelFolder

STDIN = "-"
PREDICT = "/predict"

_TIMEOUT = (10, 65)  # seconds to connect, and to read: a function's own limit is 60
_HEADERS = {"content-type": "application/json"}


class CallFailed(PilotlightError):
    """No response came, or one that is no success; the message has the status and what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How requests show who calls.

    `headers` returns what a POST of a body to a URL needs. `curl` are the options of curl, in the shell's syntax, and
    `setup` a command before it; `python` is a program's lines that set `headers`, with `url` and `body` at hand.
    `hints` says what callers lack, by the response's status.
    """

    headers: Callable[[str, bytes], Mapping[str, str]] = lambda _url, _body: {}
    curl: str = ""
    setup: str = ""
    python: str = 'headers = {"content-type": "application/json"}'
    hints: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A deployed function: its URL without a slash at the end, and how callers show who they are."""

    url: str
    credentials: Credentials


def read_document(argument: str) -> str:
    """Return the JSON document of an argument: a document itself, a file's, or for `-` standard input's.

    Raise ProjectUsageError if there is none, or if it is not JSON.
    """
    text = argument
    if argument == STDIN:
        text = sys.stdin.read()
    elif not argument.lstrip().startswith(("{", "[")):
        try:
            text = Path(argument).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ProjectUsageError(f"{argument}: {error}; expected a JSON document, a file with one, or -") from None
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        place = {STDIN: "standard input", text: "DOCUMENT"}.get(argument, argument)
        raise ProjectUsageError(f"{place} is not JSON: {error}") from None


def first_sample(model: ModelFolder) -> GoldenRequest:
    """Return the request with a model's first golden sample. Raise ProjectUsageError if JSON cannot represent it."""
    described = load_lock(model.lock).model
    golden = golden_of(described.signature, beside(model.lock, GOLDEN))
    request = to_request(described.signature, golden.samples[0])
    if request is None:
        raise ProjectUsageError("JSON cannot represent the first golden sample of this model; expected a document")
    return request


def send(endpoint: Endpoint, path: str, document: str) -> str:
    """Send a document to a route; return the text of the response. Raise CallFailed, or what `headers` raises."""
    import requests

    url, body = endpoint.url + path, document.encode()
    headers = {**_HEADERS, **endpoint.credentials.headers(url, body)}
    try:
        response = requests.post(url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        raise CallFailed(f"POST {url}: no response ({error})") from error
    response.encoding = "utf-8"
    if response.ok:
        return response.text
    hint = endpoint.credentials.hints.get(response.status_code, "")
    raise CallFailed(f"POST {url} returned {response.status_code}: {response.text}{hint and f'; {hint}'}")


def as_curl(endpoint: Endpoint, path: str, document: str) -> str:
    """Return a command for a shell that sends the request."""
    credentials = endpoint.credentials
    lines = [f"curl {shlex.quote(endpoint.url + path)}", "-H 'content-type: application/json'"]
    lines += [credentials.curl] if credentials.curl else []
    command = " \\\n  ".join([*lines, f"--data {shlex.quote(document)}"])
    return f"({credentials.setup}\n{command})" if credentials.setup else command


def as_python(endpoint: Endpoint, path: str, document: str) -> str:
    """Return a program that sends the request, with the standard library and what the credentials need."""
    return f"""import urllib.request

url = {endpoint.url + path!r}
body = {document!r}.encode()
{endpoint.credentials.python}
request = urllib.request.Request(url, body, headers)
print(urllib.request.urlopen(request).read().decode())"""
