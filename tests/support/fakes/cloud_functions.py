"""Cloud Functions v2 as gcloud uses it: a source uploaded, a function created or patched, an operation to wait for."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fakes.cloud_run import PROJECT, REGION, RunService, path_of
from servers.gcs_objects import Refused

PARENT = f"projects/{PROJECT}/locations/{REGION}"
RUNTIMES = ("python312", "python313")


@dataclass
class Functions:
    """The functions of a region and the services below them.

    `spoil` is what happens to the next deployment's service, besides the new revision; `fail_build` says why the next
    build fails; `unready` lets the next revision never start.
    """

    services: dict[str, RunService] = field(default_factory=dict)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    deployments: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    triggers: set[str] = field(default_factory=set)
    spoil: Callable[[RunService], None] | None = None
    fail_build: str = ""
    unready: bool = False

    def document(self, name: str) -> dict[str, Any]:
        """Return a function as it is now."""
        if name not in self.documents:
            raise Refused(404, f"Resource '{PARENT}/functions/{name}' was not found")
        service = self.services.get(name)
        document = self.documents[name]
        if service is None or not service.revisions:
            return document
        whole = service.traffic[0] if len([target for target in service.traffic if target.percent]) == 1 else None
        config = document["serviceConfig"] | {
            "service": path_of(service),
            "revision": service.revisions[-1],
            "uri": service.uri,
            "allTrafficOnLatestRevision": bool(whole and not whole.revision),
        }
        return document | {"serviceConfig": config}

    def new_upload(self, base: str) -> dict[str, Any]:
        """Where a source goes."""
        name = f"source-{len(self.uploads) + 1}.zip"
        self.uploads[name] = b""
        return {"uploadUrl": f"{base}/{name}", "storageSource": {"bucket": "gcf-uploads", "object": name}}

    def deploy(self, verb: str, name: str, body: Mapping[str, Any], mask: str) -> dict[str, Any]:
        """Create or patch a function: build what was uploaded, make a revision. The operation is over at once."""
        self.deployments.append((verb, dict(body), mask))
        new = verb == "POST"
        if new == (name in self.documents):
            raise Refused(409 if new else 404, f"Function {name} {'exists already' if new else 'was not found'}")
        before = {} if new else self.documents[name]
        document = {**before, **{key: value for key, value in body.items() if value}}
        document |= {"name": f"{PARENT}/functions/{name}", "environment": "GEN_2", "state": "ACTIVE"}
        if "eventTrigger" in body:
            trigger = f"{PARENT}/triggers/{name}-123456"
            self.triggers.add(trigger)
            document["eventTrigger"] = {**body["eventTrigger"], "trigger": trigger}
        self.documents[name] = document
        error = self.fail_build
        if not error:
            self._build(document)
            error = self._revise(name, document, mask)
        self.fail_build, self.spoil, self.unready = "", None, False
        if error:
            document["state"] = "FAILED"
        metadata = {"@type": "type.googleapis.com/google.cloud.functions.v2.OperationMetadata", "stages": []}
        operation: dict[str, Any] = {"name": f"{PARENT}/operations/operation-{len(self.operations) + 1}", "done": True}
        operation |= {"metadata": metadata}
        operation |= {"error": {"code": 3, "message": error}} if error else {"response": self.document(name)}
        self.operations[operation["name"]] = operation
        return operation

    def source(self, number: int = -1) -> zipfile.ZipFile:
        """Return the archive that a deployment was built from."""
        body = self.deployments[number][1]
        return zipfile.ZipFile(io.BytesIO(self.uploads[body["buildConfig"]["source"]["storageSource"]["object"]]))

    def _build(self, document: Mapping[str, Any]) -> None:
        config = document["buildConfig"]
        if config["runtime"] not in RUNTIMES:
            raise Refused(400, f"{config['runtime']} is not a supported runtime")
        if "main.py" not in self.source().namelist():
            raise Refused(400, "Build failed: missing main.py")

    def _revise(self, name: str, document: Mapping[str, Any], mask: str) -> str:
        service = self.services.setdefault(name, RunService(name))
        service.environment = dict(document["serviceConfig"].get("environmentVariables", {}))
        revision = service.deploy(ready=not self.unready)
        if self.unready:
            return f"Could not create or update Cloud Run service {name}, Container Healthcheck failed ({revision})"
        if "all_traffic_on_latest_revision" in mask:
            raise Refused(400, "The split of the traffic was to stay as it is.")
        if self.spoil:
            self.spoil(service)
        return ""
