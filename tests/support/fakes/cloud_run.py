"""A Cloud Run service: revisions, traffic by name and to the latest, tags, annotations; seen through both Admin APIs.

gcloud reads and replaces it whole through v1, our own code changes single fields of it through v2. Either refuses a
write that was made from an older version than there is.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from servers.gcs_objects import Refused

PROJECT = "pilotlight-test"
REGION = "europe-west1"

_BY_NAME = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
_LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"

# https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services: these are refused in v2.
_SYSTEM = ("run.googleapis.com/", "cloud.googleapis.com/", "serving.knative.dev/", "autoscaling.knative.dev/")


@dataclass(frozen=True)
class Target:
    """A line of the traffic; without a revision it is whichever is the latest."""

    revision: str = ""
    percent: int = 0
    tag: str = ""


@dataclass
class RunService:
    """A service and its revisions, oldest first. A revision of `broken` never became ready."""

    name: str
    revisions: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    traffic: list[Target] = field(default_factory=lambda: [Target(percent=100)])
    annotations: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    version: int = 1
    history: list[dict[str, int]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def uri(self) -> str:
        """The URL of the service."""
        return f"http://{self.name}.run.example"

    @property
    def latest(self) -> str:
        """The newest revision that is ready."""
        return next((name for name in reversed(self.revisions) if name not in self.broken), "")

    @property
    def split(self) -> dict[str, int]:
        """The percentage of each revision with traffic."""
        found: dict[str, int] = {}
        for target in self.traffic:
            if target.percent:
                name = target.revision or self.latest
                found[name] = found.get(name, 0) + target.percent
        return found

    @property
    def pinned(self) -> bool:
        """Whether no traffic goes to whichever is the latest."""
        return all(target.revision for target in self.traffic if target.percent)

    @property
    def tags(self) -> dict[str, str]:
        """The revision behind each tag."""
        return {target.tag: target.revision or self.latest for target in self.traffic if target.tag}

    def deploy(self, *, ready: bool = True) -> str:
        """Make a revision, as any deployment does; traffic to the latest goes to it, if it is ready."""
        with self.lock:
            name = f"{self.name}-{len(self.revisions) + 1:05}-abc"
            self.revisions.append(name)
            if not ready:
                self.broken.add(name)
            self._changed()
            return name

    def send(self, *targets: Target) -> None:
        """Set the traffic, as a person does by hand."""
        with self.lock:
            self._set(list(targets))
            self._changed()

    def change(self, version: str, annotations: Mapping[str, str] | None, targets: list[Target] | None) -> None:
        """Write what was made from a version. Raise Refused if the service has another version by now."""
        with self.lock:
            if version != str(self.version):
                raise Refused(409, f"Conflict for resource '{self.name}': version '{version}' was specified")
            if targets is not None:
                self._set(targets)
            if annotations is not None:
                self.annotations = dict(annotations)
            self._changed()

    def _set(self, targets: list[Target]) -> None:
        for target in targets:
            if target.revision and (target.revision not in self.revisions or target.revision in self.broken):
                raise Refused(400, f"Revision '{target.revision}' is not ready and cannot serve traffic.")
            if len(target.tag) + len(self.name) > 46:
                raise Refused(400, "Combined traffic tag and service name cannot exceed 46 characters.")
        if sum(target.percent for target in targets) != 100:
            raise Refused(400, "Traffic must add up to 100 percent.")
        tags = [target.tag for target in targets if target.tag]
        if len(set(tags)) != len(tags):
            raise Refused(400, "Duplicate tag.")
        self.traffic = targets

    def _changed(self) -> None:
        self.version += 1
        self.history.append(self.split)


def tag_uri(service: RunService, tag: str) -> str:
    """Return the URL of the revision behind a tag."""
    return service.uri.replace("://", f"://{tag}---")


def as_v1(service: RunService) -> dict[str, Any]:
    """Return the document that gcloud reads."""
    ready = [{"type": name, "status": "True"} for name in ("Ready", "ConfigurationsReady", "RoutesReady")]
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": service.name,
            "namespace": PROJECT,
            "uid": "6f1d",
            "resourceVersion": str(service.version),
            "generation": service.version,
            "labels": {"cloud.googleapis.com/location": REGION},
            "annotations": {**service.annotations, "run.googleapis.com/operation-id": "1"},
        },
        "spec": {
            "template": {"spec": {"containers": [{"image": "built", "env": _env(service)}]}},
            "traffic": [_v1_target(target) for target in service.traffic],
        },
        "status": {
            "observedGeneration": service.version,
            "conditions": ready,
            "latestCreatedRevisionName": service.revisions[-1],
            "latestReadyRevisionName": service.latest,
            "url": service.uri,
            "traffic": [
                _v1_target(target)
                | {"revisionName": target.revision or service.latest}
                | ({"url": tag_uri(service, target.tag)} if target.tag else {})
                for target in service.traffic
            ],
        },
    }


def replace_v1(service: RunService, document: Mapping[str, Any]) -> None:
    """Replace the whole service. Refuse a template that differs, which would make a revision."""
    if document["spec"]["template"] != as_v1(service)["spec"]["template"]:
        raise Refused(400, "This fake makes no revisions by a PUT.")
    metadata = document["metadata"]
    annotations = {name: text for name, text in metadata["annotations"].items() if not name.startswith(_SYSTEM)}
    targets = [
        Target(target.get("revisionName", ""), target.get("percent", 0), target.get("tag", ""))
        for target in document["spec"]["traffic"]
    ]
    service.change(metadata["resourceVersion"], annotations, targets)


def as_v2(service: RunService) -> dict[str, Any]:
    """Return the document that our own code reads."""
    path = path_of(service)
    return {
        "name": path,
        "uid": "6f1d",
        "generation": str(service.version),
        "observedGeneration": str(service.version),
        "etag": f'"{service.version}"',
        "annotations": dict(service.annotations),
        "uri": service.uri,
        "latestReadyRevision": f"{path}/revisions/{service.latest}",
        "latestCreatedRevision": f"{path}/revisions/{service.revisions[-1]}",
        "traffic": [_v2_target(target) for target in service.traffic],
        "trafficStatuses": [
            _v2_target(target) | ({"uri": tag_uri(service, target.tag)} if target.tag else {})
            for target in service.traffic
        ],
    }


def patch_v2(service: RunService, document: Mapping[str, Any], mask: str) -> None:
    """Change the fields in the mask."""
    fields = set(mask.split(","))
    if fields - {"annotations", "traffic"}:
        raise Refused(400, f"This fake changes no {mask}.")
    annotations = document.get("annotations", {}) if "annotations" in fields else None
    if any(name.startswith(_SYSTEM) for name in annotations or ()):
        raise Refused(400, "A system annotation is not supported.")
    targets = [_target(target) for target in document.get("traffic", ())] if "traffic" in fields else None
    service.change(document.get("etag", "").strip('"') or str(service.version), annotations, targets)


def path_of(service: RunService) -> str:
    """Return the service's resource name."""
    return f"projects/{PROJECT}/locations/{REGION}/services/{service.name}"


def _env(service: RunService) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in service.environment.items()]


def _v1_target(target: Target) -> dict[str, Any]:
    where: dict[str, Any] = {"revisionName": target.revision} if target.revision else {"latestRevision": True}
    return where | ({"percent": target.percent} if target.percent else {}) | ({"tag": target.tag} if target.tag else {})


def _v2_target(target: Target) -> dict[str, Any]:
    where = {"type": _BY_NAME, "revision": target.revision} if target.revision else {"type": _LATEST}
    return where | ({"percent": target.percent} if target.percent else {}) | ({"tag": target.tag} if target.tag else {})


def _target(document: Mapping[str, Any]) -> Target:
    if (document["type"] == _BY_NAME) != bool(document.get("revision")):
        raise Refused(400, "A target is by name, or the latest.")
    return Target(document.get("revision", ""), document.get("percent", 0), document.get("tag", ""))
