"""The Cloud Run service below the function: who has how much traffic, and what is noted on it.

Read and written through the Admin API (v2). gcloud can set no annotation of a service (`services replace` can, but
sends the whole service, with a revision template that may be out of date). Here a rollout's state and the split that
belongs to it change in one write, which names the two fields that it touches and the version that it was made from:
whoever comes in between gives a Conflict, and nobody can see one without the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pilotlight_cli.gcp import Conflict, GcpError, NoAnswer

_BY_NAME = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
_LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"

_WRITE_SECONDS = 240.0
_GLANCE = 1.0  # seconds between two looks at a write under way
_PAUSES = (1.0, 3.0, 9.0)  # seconds before a write is sent again
_ABORTED = 10  # google.rpc.Code: somebody else was faster


@dataclass(frozen=True, slots=True)
class Share:
    """A line of a service's traffic: a revision, or "" for whichever is the latest, its percentage, its tag."""

    revision: str
    percent: int = 0
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A service as it was when `etag` was made. Revisions go by their short names.

    `created` and `latest` are the newest revision and the newest that is ready; `tags` has the URL of each tag.
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
        """The document at a path."""
        ...

    def patch(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Change what is at a path."""
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
        """A service as it is now. Raises NotThere, GcpError."""
        return _read(self._api.get(f"v2/{self._parent}/{name}"))

    def write(self, seen: Service, annotations: Mapping[str, str], traffic: tuple[Share, ...]) -> Service:
        """Replace annotations and traffic in one step, unless the service is no longer as it was `seen`.

        Returns once Cloud Run has done it. A write whose answer was lost is looked for before it is sent again.
        Raises Conflict, GcpError.
        """
        for pause in (*_PAUSES, None):
            try:
                self._send(seen, annotations, traffic)
            except (Conflict, NoAnswer):
                found = self.read(seen.name)
                if found.annotations == annotations and set(found.traffic) == set(traffic):
                    return found
                if found.etag != seen.etag:
                    raise Conflict(f"the service {seen.name} was changed by somebody else meanwhile") from None
                if pause is None:
                    raise
                self._sleep(pause)
            else:
                break
        return self.read(seen.name)

    def _send(self, seen: Service, annotations: Mapping[str, str], traffic: tuple[Share, ...]) -> None:
        path = f"{self._parent}/{seen.name}"
        body = {
            "name": path,
            "etag": seen.etag,
            "annotations": dict(annotations),
            "traffic": [_target(share) for share in traffic],
        }
        self._finish(self._api.patch(f"v2/{path}?updateMask=annotations,traffic", body))

    def _finish(self, operation: dict[str, Any]) -> None:
        end = self._clock() + _WRITE_SECONDS
        while not operation.get("done"):
            if self._clock() > end:
                raise GcpError(f"Cloud Run did not change the traffic within {_WRITE_SECONDS:.0f} s")
            self._sleep(_GLANCE)
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
            f"the service {document.get('name')} has no {error.args[0]}; is its first revision ready?"
        ) from None


def _target(share: Share) -> dict[str, Any]:
    where = {"type": _BY_NAME, "revision": share.revision} if share.revision else {"type": _LATEST}
    return where | ({"percent": share.percent} if share.percent else {}) | ({"tag": share.tag} if share.tag else {})


def _short(name: str) -> str:
    return name.rpartition("/")[2]
