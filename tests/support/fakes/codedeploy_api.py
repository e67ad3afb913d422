"""moto's CodeDeploy with what it lacks: reading a revision, states of deployments, and taking a hook's report.

As in deployments that CloudFormation makes, GetDeployment names a revision by its digest, and GetApplicationRevision
has its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from secrets import token_hex
from typing import TYPE_CHECKING, Any, cast

import boto3
from werkzeug.wrappers import Request, Response

from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.local.wsgi import serving_wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from mypy_boto3_codedeploy.type_defs import RevisionLocationTypeDef

ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}

GROUP = "group"

# Where a revision of a type has its AppSpec.
_PLACES = {"AppSpecContent": "appSpecContent", "String": "string"}


class CodeDeploy:
    """Deployments of one function, and the reports of their hooks as (deployment, execution, status)."""

    def __init__(self, *, refused: bool = False) -> None:
        self.environ: Mapping[str, str] = {}
        self.reports: list[tuple[str, str, str]] = []
        self.application = f"application-{token_hex(4)}"  # moto keeps those of all its servers in one place
        self.failures = 0  # so many reports are answered with a 500 first
        self._refused = refused
        self._revisions: dict[str, dict[str, Any]] = {}
        self.statuses: dict[str, str] = {}  # of deployments that are listed, oldest first; moto's are all created

    def deploy(
        self, function: str, target: str, content: str | None = None, kind: str = "AppSpecContent", current: str = "1"
    ) -> dict[str, str]:
        """Make a deployment's record; the event with which CodeDeploy calls its hook. `kind` is its revision's type."""
        appspec = json.dumps(_appspec(function, target, current)) if content is None else content
        revision = _revision(kind, appspec)
        self._revisions[_named(revision)] = revision
        with acting_in(self.environ):
            client = boto3.Session().client("codedeploy")
            made = client.create_deployment(
                applicationName=self.application,
                deploymentGroupName=GROUP,
                revision=cast("RevisionLocationTypeDef", revision),
            )
            client.close()
        return {"DeploymentId": made["deploymentId"], "LifecycleEventHookExecutionId": f"of-{made['deploymentId']}"}

    def answer(self, call: str, document: dict[str, Any]) -> Response | None:
        """Return the response to a call that moto lacks or must not answer; None for the others."""
        if call == "PutLifecycleEventHookExecutionStatus":
            if self.failures:
                self.failures -= 1
                return Response("{}", 500)
            self.reports.append(
                (document["deploymentId"], document["lifecycleEventHookExecutionId"], document["status"])
            )
            return _json({"lifecycleEventHookExecutionId": document["lifecycleEventHookExecutionId"]})
        if call == "GetApplicationRevision":
            revision = self._revisions[_named(document["revision"])]
            return _json({"applicationName": document["applicationName"], "revision": revision})
        if call == "GetDeployment" and self._refused:
            return _json({"__type": "AccessDeniedException", "message": "not authorized"}, 400)
        return self._answer_history(call, document)

    def _answer_history(self, call: str, document: dict[str, Any]) -> Response | None:
        if call == "ListDeployments":
            wanted = document["includeOnlyStatuses"]
            return _json({"deployments": [one for one in reversed(self.statuses) if self.statuses[one] in wanted]})
        if call == "StopDeployment":
            assert document["autoRollbackEnabled"]
            self.statuses[document["deploymentId"]] = "Stopped"
            return _json({"status": "Pending"})
        return None


@contextmanager
def codedeploy_api(codedeploy: CodeDeploy) -> Iterator[CodeDeploy]:
    """Serve it, with an application and a deployment group in it."""
    from moto.moto_server.werkzeug_app import create_backend_app

    moto = create_backend_app("codedeploy")

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        call = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        reply = codedeploy.answer(call, json.loads(request.get_data()))
        if reply is None:
            again = {**environ, "wsgi.input": BytesIO(request.get_data())}
            reply = Response.from_app(moto, again, buffered=True)
            if call == "GetDeployment" and reply.status_code == 200:
                reply = _json(_without_content(json.loads(reply.get_data())))
        return reply(environ, start_response)

    with serving_wsgi(application) as url:
        codedeploy.environ = {**ACCOUNT, "AWS_ENDPOINT_URL_CODEDEPLOY": url}
        with acting_in(codedeploy.environ):
            client = boto3.Session().client("codedeploy")
            client.create_application(applicationName=codedeploy.application, computePlatform="Lambda")
            client.create_deployment_group(
                applicationName=codedeploy.application,
                deploymentGroupName=GROUP,
                serviceRoleArn="arn:aws:iam::123456789012:role/codedeploy",
            )
            client.close()
        yield codedeploy


def _appspec(function: str, target: str, current: str) -> dict[str, object]:
    properties = {"Name": function, "Alias": "live", "CurrentVersion": current, "TargetVersion": target}
    return {"version": 0.0, "Resources": [{function: {"Type": "AWS::Lambda::Function", "Properties": properties}}]}


def _revision(kind: str, appspec: str) -> dict[str, Any]:
    if kind == "S3":
        return {
            "revisionType": kind,
            "s3Location": {"bucket": "revisions", "key": "appspec.yaml", "bundleType": "YAML"},
        }
    digest = hashlib.sha256(appspec.encode()).hexdigest()
    return {"revisionType": kind, _PLACES[kind]: {"content": appspec, "sha256": digest}}


def _named(revision: dict[str, Any]) -> str:
    """Return the identity of a revision."""
    place = revision.get(_PLACES.get(revision["revisionType"], ""), {})
    return str(place.get("sha256", revision["revisionType"]))


def _without_content(document: dict[str, Any]) -> dict[str, Any]:
    revision = document["deploymentInfo"]["revision"]
    for place in _PLACES.values():
        revision.get(place, {}).pop("content", None)
    return document


def _json(document: object, status: int = 200) -> Response:
    return Response(json.dumps(document), status, content_type="application/x-amz-json-1.1")
