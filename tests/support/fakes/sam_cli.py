"""SAM CLI as far as a deployment sees it: it builds a package, and updates a stack and a function.

The stack is moto's, with the template's parameters and nothing of its resources. A version of the function answers as
the real function does, which the caller has running, with the release and the number that Lambda would give it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Request, Response

from fakes.lambda_api import FakeLambda
from pilotlight_cli.staging.sources import stage_sources

_VERSIONS = re.compile(r"/2015-03-31/functions/([^/]+)/versions")
_CONFIGURATION = re.compile(r"/2015-03-31/functions/([^/]+)/configuration")
_ALIASES = re.compile(r"/2015-03-31/functions/([^/]+)/aliases")
_FUNCTION = re.compile(r"/2015-03-31/functions/([^/]+)")
_ACCOUNT = re.compile(r"/2016-08-19/account-settings/?")
_PROVISIONED = re.compile(r"/2019-09-30/functions/([^/]+)/provisioned-concurrency")

Answer = Callable[[object], Any]


@dataclass
class DeployedLambda(FakeLambda):
    """Lambda's API with what a deployment looks at beside: versions, their snapshots, instances that are kept ready."""

    ready: int | None = None
    snapshots: set[str] = field(default_factory=set)
    releases: dict[str, str] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    unreserved: int = 1000
    package_type: str = "Zip"

    def answer(self, request: Request) -> Response:
        """Answer a call of the API."""
        if _VERSIONS.fullmatch(request.path) and not self.versions:  # the function comes with its first version
            return Response(
                '{"Type": "User", "Message": "none"}', 404, {"x-amzn-errortype": "ResourceNotFoundException"}
            )
        found = self._read(request)
        if found is not None:
            return _json(found)
        if request.method == "DELETE" and _FUNCTION.fullmatch(request.path):
            self.deleted.append(request.args["Qualifier"])
            del self.versions[self.deleted[-1]]
            return Response("", 204)
        if _PROVISIONED.fullmatch(request.path):
            name = "ProvisionedConcurrencyConfigNotFoundException"
            return Response('{"Type": "User", "message": "none"}', 404, {"x-amzn-errortype": name})
        return super().answer(request)

    def _read(self, request: Request) -> dict[str, Any] | None:
        """Return the requested document; None if it does not exist or the request is another one."""
        if _VERSIONS.fullmatch(request.path):
            return {"Versions": [{"Version": version} for version in ("$LATEST", *self.versions)]}
        if _CONFIGURATION.fullmatch(request.path):
            return self._configuration(request.args["Qualifier"])
        if _ALIASES.fullmatch(request.path):
            return {"Aliases": [{"Name": name, "FunctionVersion": self.aliases[name]} for name in self.aliases]}
        if _ACCOUNT.fullmatch(request.path):
            return {"AccountLimit": {"UnreservedConcurrentExecutions": self.unreserved}}
        if _PROVISIONED.fullmatch(request.path) and self.ready is not None:
            return {"RequestedProvisionedConcurrentExecutions": self.ready, "Status": "READY"}
        return None

    def _configuration(self, qualifier: str) -> dict[str, Any]:
        version = self.aliases.get(qualifier, qualifier)
        status = "On" if version in self.snapshots else "Off"
        variables = {"PILOTLIGHT_RELEASE": self.releases.get(version, "")}
        snapstart = {"ApplyOn": "PublishedVersions", "OptimizationStatus": status}
        environment = {"Variables": variables}
        return {"SnapStart": snapstart, "Environment": environment, "PackageType": self.package_type}


@dataclass
class FakeSam:
    """A runner of commands. `deployments` are the parameters of each; those whose numbers are in `fails` fail.

    `taken_back` are deployments that end well and whose traffic goes back, `rolled_back` those that fail when their
    version is there; `keeps` is whether instances are kept ready.
    """

    cloudformation: Any
    function: DeployedLambda
    real: Answer
    bytecode: bool = True
    keeps: bool = True
    fails: set[int] = field(default_factory=set)
    taken_back: set[int] = field(default_factory=set)
    rolled_back: set[int] = field(default_factory=set)
    commands: list[list[str]] = field(default_factory=list)
    environs: list[Mapping[str, str]] = field(default_factory=list)
    deployments: list[dict[str, str]] = field(default_factory=list)
    deployed: dict[str, str] = field(default_factory=dict)

    def __call__(self, command: Sequence[str], environ: Mapping[str, str], folder: Path) -> int:
        self.commands.append(list(command))
        self.environs.append(environ)
        if "build" in command:
            return self._build(Path(_option(command, "--build-dir")), Path(environ["LOCK"]))
        values = json.loads(Path(_option(command, "--parameter-overrides").removeprefix("file://")).read_text())
        self.deployments.append(values)
        if len(self.deployments) in self.fails:
            return 1
        if values != self.deployed:  # moto refuses an update that changes nothing
            if self._is_taken(values["ReleaseDigest"]):
                return 1
            if len(self.deployments) in self.rolled_back:
                self._publish(values)
                return 1
            self._bring_stack(_option(command, "--stack-name"), values)
            self._bring_function(values)
            self.deployed = values
        return 0

    def _is_taken(self, release: str) -> bool:
        """Return whether the last version equals the one to publish, which Lambda refuses."""
        newest = max(self.function.versions, key=int, default=None)
        is_live = newest == self.function.aliases.get("live")
        return newest is not None and not is_live and self.function.releases.get(newest) == release

    def _build(self, folder: Path, lock: Path) -> int:
        package = folder / "PredictFunction"
        if not package.exists():
            stage_sources("aws", lock, package)
        for module in package.glob("*.py") if self.bytecode else ():
            (package / "__pycache__").mkdir(exist_ok=True)
            (package / f"__pycache__/{module.stem}.cpython-313.pyc").touch()
        return 0

    def _bring_stack(self, name: str, values: Mapping[str, str]) -> None:
        template = {
            "Parameters": {key: {"Type": "String"} for key in values},
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {}}},
            "Outputs": {
                "ApiUrl": {"Value": f"https://{name}.example.com"},
                "Store": {"Value": values["StoreUrl"] or "s3://pilotlight-models-123456789012-us-east-1"},
            },
        }
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
        made = self.cloudformation.list_stacks(StackStatusFilter=["CREATE_COMPLETE", "UPDATE_COMPLETE"])
        there = name in [entry["StackName"] for entry in made["StackSummaries"]]
        call = self.cloudformation.update_stack if there else self.cloudformation.create_stack
        call(StackName=name, TemplateBody=json.dumps(template), Parameters=parameters)

    def _bring_function(self, values: Mapping[str, str]) -> None:
        """Publish a version if the digest is not the last one's, and move the alias to the newest."""
        function, release = self.function, values["ReleaseDigest"]
        last = function.aliases.get("live")
        if last is None or self._describe(last)["release"] != release:
            last = self._publish(values)
        if len(self.deployments) not in self.taken_back:
            function.aliases["live"] = last
        ready = self.keeps and values["StartMode"] == "provisioned"
        function.ready = int(values["MinProvisioned"]) if ready else None

    def _publish(self, values: Mapping[str, str]) -> str:
        """Publish a version and return its number."""
        function, release = self.function, values["ReleaseDigest"]
        version = str(max(map(int, (*function.versions, *function.deleted)), default=0) + 1)
        function.releases[version] = release
        function.versions[version] = _version(self.real, release, version)
        if values["StartMode"] == "snapstart":
            function.snapshots.add(version)
        return version

    def _describe(self, version: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.function.versions[version]({"pilotlight": "describe"})
        return answer


def _version(real: Answer, release: str, number: str) -> Answer:
    def answer(event: object) -> Any:
        said = real(event)
        return {**said, "release": release, "function_version": number} if event == {"pilotlight": "describe"} else said

    return answer


def _option(command: Sequence[str], name: str) -> str:
    return command[command.index(name) + 1]


def _json(document: object) -> Response:
    return Response(json.dumps(document), 200, content_type="application/json")
