"""The Cloud Run service of the function: its traffic split and its annotations.

Read and written through the Admin API (v2). gcloud cannot set an annotation of a service (`services replace` can, but
sends the whole service, with a revision template that may be out of date). Here a rollout's record and its split change
in one write, which names those two fields and the etag that it is based on: a concurrent change is a Conflict, and
nobody sees one without the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pilotlight_cli.gcp import Conflict, GcpError, Unavailable

_BY_NAME = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
_LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"

_WRITE_SECONDS = 240.0
_POLL_SECONDS = 1.0  # between two reads of a running operation
_RETRY_PAUSES = (1.0, 3.0, 9.0)  # seconds before each retry of a write
_ABORTED = 10  # google.rpc.Code: a concurrent change came first


@dataclass(frozen=True, slots=True)
class Share:
    """A traffic target of a service: a revision, or "" for the latest, its percentage, its tag."""

    revision: str
    percent: int = 0
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A service as of its `etag`. Revisions go by their short names.

    `created` and `latest` are the newest revision and the newest ready one; `tags` has the URL of each tag.
    """

    name: str
    uri: str
    etag: str
    annotations: Mapping[str, str]
    traffic: tuple[Share, ...]
    created: str
    latest: str
    tags: Mapping[str, str]

    @property
    def split(self) -> dict[str, int]:
        """The percentage of each revision that has traffic."""
        found: dict[str, int] = {}
        for share in self.traffic:
            if share.percent:
                revision = share.revision or self.latest
                found[revision] = found.get(revision, 0) + share.percent
        return found

    @property
    def pinned(self) -> bool:
        """Whether all traffic goes to revisions by name, so that a new one gets none."""
        return all(share.revision for share in self.traffic if share.percent)


class Calls(Protocol):
    """The Admin API; see `api.Api`."""

    def get(self, path: str) -> dict[str, Any]:
        """Return the document at a path."""
        ...

    def patch(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Send a change; return the response's document."""
        ...


class Services:
    """The services of a project in a region."""

    def __init__(
        self, api: Calls, project: str, region: str, *, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._api = api
        self._parent = f"projects/{project}/locations/{region}/services"
        self._clock = clock
        self._sleep = sleep

    def read(self, name: str) -> Service:
        """Return a service. Raises NotFound, GcpError."""
        return _read(self._api.get(f"v2/{self._parent}/{name}"))

    def write(self, service: Service, annotations: Mapping[str, str], traffic: tuple[Share, ...]) -> Service:
        """Replace annotations and traffic in one write, unless the service changed since `service` was read.

        Return the new service when Cloud Run has applied the write. If the response is lost, check whether the write
        took effect before sending it again. Raises Conflict, GcpError.
        """
        for pause in (*_RETRY_PAUSES, None):
            try:
                self._send(service, annotations, traffic)
            except (Conflict, Unavailable):
                found = self.read(service.name)
                if found.annotations == annotations and set(found.traffic) == set(traffic):
                    return found
                if found.etag != service.etag:
                    raise Conflict(f"the service {service.name} was changed by somebody else in the meantime") from None
                if pause is None:
                    raise
                self._sleep(pause)
            else:
                break
        return self.read(service.name)

    def _send(self, service: Service, annotations: Mapping[str, str], traffic: tuple[Share, ...]) -> None:
        path = f"{self._parent}/{service.name}"
        body = {
            "name": path,
            "etag": service.etag,
            "annotations": dict(annotations),
            "traffic": [_target(share) for share in traffic],
        }
        self._wait_for(self._api.patch(f"v2/{path}?updateMask=annotations,traffic", body))

    def _wait_for(self, operation: dict[str, Any]) -> None:
        end = self._clock() + _WRITE_SECONDS
        while not operation.get("done"):
            if self._clock() > end:
                raise GcpError(f"Cloud Run did not change the traffic within {_WRITE_SECONDS:.0f} s")
            self._sleep(_POLL_SECONDS)
            operation = self._api.get(f"v2/{operation['name']}")
        if "error" in operation:
            error = operation["error"]
            kind = Conflict if error.get("code") == _ABORTED else GcpError
            raise kind(f"Cloud Run did not change the traffic: {error.get('message')}")


def _read(document: dict[str, Any]) -> Service:
    try:
        return Service(
            name=_short(document["name"]),
            uri=document["uri"],
            etag=document["etag"],
            annotations=document.get("annotations", {}),
            traffic=tuple(
                Share(_short(target.get("revision", "")), target.get("percent", 0), target.get("tag", ""))
                for target in document.get("traffic") or [{"percent": 100}]
            ),
            created=_short(document["latestCreatedRevision"]),
            latest=_short(document["latestReadyRevision"]),
            tags={status["tag"]: status["uri"] for status in document.get("trafficStatuses", ()) if status.get("tag")},
        )
    except KeyError as error:
        raise GcpError(
            f"the service {document.get('name')} has no {error.args[0]}; check whether its first revision is ready"
        ) from None


def _target(share: Share) -> dict[str, Any]:
    where = {"type": _BY_NAME, "revision": share.revision} if share.revision else {"type": _LATEST}
    return where | ({"percent": share.percent} if share.percent else {}) | ({"tag": share.tag} if share.tag else {})


def _short(name: str) -> str:
    return name.rpartition("/")[2]
