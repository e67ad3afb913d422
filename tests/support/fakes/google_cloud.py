"""A small Google Cloud behind an HTTP proxy: the API calls of gcloud and of our own code, and the functions' own URLs.

Clients get endpoints like http://run.test/ and this proxy, so each request arrives here with the name that it was meant
for. Requests to other names are refused: nothing can reach the real Google Cloud.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from fakes.cloud_functions import PARENT, RUNTIMES, Functions
from fakes.cloud_run import PROJECT, REGION, RunService, as_v1, as_v2, patch_v2, replace_v1
from fakes.json_handler import JsonHandler
from servers.faults import reset
from servers.gcs_objects import Refused

APIS = (
    *("cloudbuild", "cloudfunctions", "cloudresourcemanager", "iamcredentials", "logging", "run", "serviceusage"),
    *("artifactregistry", "iam", "monitoring", "storage"),
    *("eventarc", "pubsub"),
)

Backend = Callable[[str, str, bytes], tuple[int, object]]
"""What a revision answers: from method, path and body to status and document."""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The JSON in its body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Trouble:
    """A fault of a request that `matches`: answered with a status, or carried out and its response `lost`."""

    method: str
    matches: str
    status: int = 503
    lost: bool = False


@dataclass
class FakeGoogle:
    """The project `PROJECT`. `backends` has what each revision answers, and `entries` the request log.

    `records` are the lines that the function predict wrote; `policies` and `alerts` are Cloud Monitoring's.
    """

    functions: Functions = field(default_factory=Functions)
    backends: dict[str, Backend] = field(default_factory=dict)
    backend: Backend = lambda *_: (200, {})
    entries: list[dict[str, Any]] = field(default_factory=list)
    policies: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    logs_requests: bool = True
    forbids_all: bool = False
    callers: Callable[[str], None] = lambda _: None  # called with the revision before each query of its log

    def __post_init__(self) -> None:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.port = self._server.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def proxy(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def service(self, name: str) -> RunService:
        """Return a service, which is made if there is none."""
        return self.functions.services.setdefault(name, RunService(name))

    def log(self, revision: str, count: int, *, status: int = 200, seconds: float = 0.05, agent: str = "curl") -> None:
        """Let requests of callers come up in the request log."""
        for _ in range(count):
            self.entries.append(_entry(revision, status, seconds, agent))

    def called(self, method: str, host: str, part: str = "") -> list[Asked]:
        """Return the requests of a method to an API, with this in their path."""
        return [one for one in self.asked if one.method == method and one.host.endswith(host) and part in one.path]


def _entry(revision: str, status: int, seconds: float, agent: str) -> dict[str, Any]:
    return {
        "logName": f"projects/{PROJECT}/logs/run.googleapis.com%2Frequests",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.500000Z", time.gmtime()),
        "resource": {
            "type": "cloud_run_revision",
            "labels": {"service_name": revision.rsplit("-", 2)[0], "revision_name": revision, "location": REGION},
        },
        "httpRequest": {"status": status, "latency": f"{seconds}s", "userAgent": agent, "requestMethod": "POST"},
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, google: FakeGoogle) -> None:
        self.google = google
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(JsonHandler):
    server: _Server

    def do_CONNECT(self) -> None:
        self.reply(403, {"error": {"code": 403, "message": f"{self.path} is no part of the fake"}})

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        host = url.hostname or (self.headers.get("Host") or "").partition(":")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, host, url.path, dict(parse_qsl(url.query)), headers, body)
        google = self.server.google
        google.asked.append(asked)
        trouble = next(
            (one for one in google.troubles if one.method == asked.method and one.matches in host + url.path), None
        )
        if trouble:
            google.troubles.remove(trouble)
        try:
            status, document = answer(google, asked, trouble)
        except Refused as refused:
            status = refused.status
            document = {"error": {"code": status, "message": str(refused), "status": _STATUS.get(status, "UNKNOWN")}}
        if trouble and trouble.lost:
            reset(self)
            self.close_connection = True
            return
        self.reply(status, document)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET


_STATUS = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED", 503: "UNAVAILABLE"}


def answer(google: FakeGoogle, asked: Asked, trouble: Trouble | None) -> tuple[int, object]:
    """Status and document of the answer to a request."""
    if trouble and not trouble.lost:
        raise Refused(trouble.status, "injected")
    if asked.host.endswith(".run.example"):
        return _function(google, asked)
    api = asked.host.removesuffix(".test").rpartition("-")[2]
    if asked.host.endswith(".test") and (api in _ROUTES or google.forbids_all):
        if google.forbids_all and api != "oauth":
            raise Refused(403, "forbidden")
        if api not in {"oauth", "uploads"} and not asked.headers.get("authorization", "").startswith("Bearer "):
            raise Refused(401, "no credentials")
        return 200, _ROUTES[api](google, asked)
    raise Refused(404, f"{asked.host} is no part of the fake")


def _function(google: FakeGoogle, asked: Asked) -> tuple[int, object]:
    """Answer a call of the private function, at its own URL or a tag's, with a token for the service's URL."""
    tag, _, name = asked.host.removesuffix(".run.example").rpartition("---")
    service = google.functions.services[name]
    revision = service.tags[tag] if tag else service.latest
    token = _claims(asked.headers.get("authorization", "").removeprefix("Bearer "))
    if token.get("aud") != service.uri:
        return 401, {"error": f"the token is for {token.get('aud')}, expected {service.uri}"}
    status, document = google.backends.get(revision, google.backend)(asked.method, asked.path, asked.body)
    if google.logs_requests:
        google.log(revision, 1, status=status, agent=asked.headers.get("user-agent", ""))
    return status, document


def _cloudfunctions(google: FakeGoogle, asked: Asked) -> object:
    functions, path = google.functions, asked.path.removeprefix("/v2/")
    if path.endswith("/runtimes"):
        return {"runtimes": [{"name": name, "environment": "GEN_2", "stage": "GA"} for name in RUNTIMES]}
    if path.endswith("functions:generateUploadUrl"):
        return functions.new_upload("http://uploads.test")
    if "/operations/" in path:
        return functions.operations[path]
    name = path.removeprefix(f"{PARENT}/functions").strip("/")
    if asked.method == "GET":
        return functions.document(name)
    name = name or asked.query["functionId"]
    return functions.deploy(asked.method, name, asked.document, asked.query.get("updateMask", ""))


def _uploads(google: FakeGoogle, asked: Asked) -> object:
    google.functions.uploads[asked.path.strip("/")] = asked.body
    return {}


def _run(google: FakeGoogle, asked: Asked) -> object:
    if asked.path.startswith("/v2/") and "/operations/" in asked.path:
        return {"name": asked.path.removeprefix("/v2/"), "done": True, "response": {}}
    name = re.findall(r"/services/([^/:]+)", asked.path)[0]
    service = google.functions.services.get(name)
    if service is None or not service.revisions:
        raise Refused(404, f"Resource '{name}' of kind 'SERVICE' does not exist")
    if asked.path.endswith("IamPolicy"):
        return {"etag": "BwXhqDkbVdM=", "bindings": []}
    if asked.path.startswith("/v2/"):
        if asked.method == "PATCH":
            patch_v2(service, asked.document, asked.query["updateMask"])
            return {"name": f"{PARENT}/operations/traffic-{service.version}", "done": False}
        return as_v2(service)
    if asked.method == "PUT":
        replace_v1(service, asked.document)
    return as_v1(service)


def _logging(google: FakeGoogle, asked: Asked) -> object:
    """entries.list with the few comparisons that we write, newest first."""
    body = asked.document
    wanted = dict(re.findall(r'([\w.]+)(?:=|>=)"([^"]*)"', body["filter"]))
    if events := re.findall(r"jsonPayload\.event=\(([^)]*)\)", body["filter"]):
        since, service = wanted["timestamp"].removesuffix("Z"), wanted["resource.labels.service_name"]
        records = [
            one
            for one in google.records
            if one["timestamp"] >= since
            and f'"{one["jsonPayload"]["event"]}"' in events[0].split(" OR ")
            and wanted.get("jsonPayload.experiment") in (None, one["jsonPayload"].get("experiment"))
        ]
        return {"entries": records[::-1][: body["pageSize"]] if service == "predict" else []}
    assert 'log_id("run.googleapis.com/requests")' in body["filter"], body["filter"]
    revisions = re.findall(r'"([^"]*)"', body["filter"].partition("revision_name=")[2].partition(" AND ")[0])
    lowest = 400 if "httpRequest.status>=400" in body["filter"] else 0
    if not lowest:
        google.callers(*revisions)
    found = [
        entry
        for entry in reversed(google.entries)
        if entry["resource"]["labels"]["revision_name"] in revisions
        and entry["httpRequest"]["status"] >= lowest
        and entry["resource"]["labels"]["service_name"] == wanted["resource.labels.service_name"]
        and entry["timestamp"] >= wanted["timestamp"].removesuffix("Z")  # "12.5Z" is before "12Z" as text
    ]
    return {"entries": found[: body["pageSize"]]}


def _monitoring(google: FakeGoogle, asked: Asked) -> object:
    """alertPolicies.list in pages of one, and alerts.list, newest first."""
    if asked.path == f"/v3/projects/{PROJECT}/alerts":
        return {"alerts": sorted(google.alerts, key=lambda one: str(one["openTime"]), reverse=True)}
    assert asked.path == f"/v3/projects/{PROJECT}/alertPolicies", asked.path
    first = int(asked.query.get("pageToken", 0))
    page = {"alertPolicies": google.policies[first : first + 1]}
    return page if first + 1 >= len(google.policies) else page | {"nextPageToken": str(first + 1)}


def _oauth(_: FakeGoogle, asked: Asked) -> object:
    """Exchange a service account's key for a token; the identity token is for the requested audience."""
    claims = _claims(dict(parse_qsl(asked.body.decode()))["assertion"])
    token = {"access_token": "ya29.fake", "expires_in": 3600, "token_type": "Bearer"}
    return token | {"id_token": identity_token(claims.get("target_audience", ""))}


def _iamcredentials(_: FakeGoogle, asked: Asked) -> object:
    """Acting as another service account."""
    if asked.path.endswith(":generateIdToken"):
        return {"token": identity_token(asked.document["audience"])}
    return {"accessToken": "ya29.other", "expireTime": "2099-01-01T00:00:00Z"}


def _cloudbuild(_: FakeGoogle, asked: Asked) -> object:
    email = f"projects/{PROJECT}/serviceAccounts/build@{PROJECT}.iam.gserviceaccount.com"
    return {"name": asked.path.removeprefix("/v1/"), "serviceAccountEmail": email}


def _cloudresourcemanager(_: FakeGoogle, __: Asked) -> object:
    return {"projectId": PROJECT, "projectNumber": "123456789012", "lifecycleState": "ACTIVE"}


def _serviceusage(_: FakeGoogle, asked: Asked) -> object:
    return {"name": asked.path.removeprefix("/v1/"), "state": "ENABLED"}


def _eventarc(google: FakeGoogle, asked: Asked) -> object:
    """Answer with a trigger that a deployment made, and its subscription."""
    name = asked.path.removeprefix("/v1/")
    if name not in google.functions.triggers:
        raise Refused(404, f"Resource '{name}' was not found")
    subscription = f"projects/{PROJECT}/subscriptions/eventarc-{name.rpartition('/')[2]}-sub-1"
    return {"name": name, "transport": {"pubsub": {"subscription": subscription}}}


def _pubsub(google: FakeGoogle, asked: Asked) -> object:
    """Answer with a subscription, which keeps what it is patched with."""
    name = asked.path.removeprefix("/v1/")
    subscription = google.subscriptions.setdefault(name, {"name": name})
    if asked.method == "PATCH":
        changed = asked.document
        subscription |= {changing: changed["subscription"][changing] for changing in changed["updateMask"].split(",")}
    return subscription


_ROUTES: dict[str, Callable[[FakeGoogle, Asked], object]] = {
    "cloudbuild": _cloudbuild,
    "cloudfunctions": _cloudfunctions,
    "cloudresourcemanager": _cloudresourcemanager,
    "eventarc": _eventarc,
    "iamcredentials": _iamcredentials,
    "logging": _logging,
    "monitoring": _monitoring,
    "oauth": _oauth,
    "pubsub": _pubsub,
    "run": _run,
    "serviceusage": _serviceusage,
    "uploads": _uploads,
}


def identity_token(audience: str) -> str:
    """Return a token in a JWT's form, signed by nobody."""
    claims = {"aud": audience, "exp": 4_000_000_000, "iat": 1_700_000_000, "iss": "https://accounts.google.com"}
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join((*encoded, "c2ln"))


def _claims(token: str) -> dict[str, Any]:
    middle = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)) or b"{}")
    except ValueError:
        return {}
    return found
