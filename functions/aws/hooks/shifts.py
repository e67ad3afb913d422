"""The shift of traffic that a CodeDeploy deployment makes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from version_checks import CheckFailed

if TYPE_CHECKING:
    from mypy_boto3_codedeploy import CodeDeployClient
    from mypy_boto3_codedeploy.type_defs import RevisionLocationTypeDef


@dataclass(frozen=True, slots=True)
class Shift:
    """A function's name, its alias, the version that serves, and the one that is to get all of the alias's traffic."""

    function: str
    alias: str
    current: str
    target: str


def read_shift(codedeploy: CodeDeployClient, deployment: str) -> Shift:
    """Return the shift of a deployment. Raises CheckFailed if its AppSpec cannot be read.

    A deployment names its revision. If CloudFormation made it, the deployment has only the digest, and the content
    needs another call. The content is an AppSpec in JSON:
    https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-resources.html
    """
    info = codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]
    revision = info["revision"]
    content = _content(revision)
    if not content:
        application = codedeploy.get_application_revision(applicationName=info["applicationName"], revision=revision)
        content = _content(application["revision"])
    try:
        resources = json.loads(content)["Resources"]
        (properties,) = [item["Properties"] for resource in resources for item in resource.values()]
        return Shift(*(str(properties[name]) for name in ("Name", "Alias", "CurrentVersion", "TargetVersion")))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckFailed(
            f"deployment {deployment} has a revision of type {revision.get('revisionType')!r} with the content "
            f"{content[:500]!r}; expected an AppSpec in JSON with one function"
        ) from None


def _content(revision: RevisionLocationTypeDef) -> str:
    """Return the AppSpec in a revision; empty if it is left out."""
    places = (revision.get("appSpecContent"), revision.get("string"))
    return next((place["content"] for place in places if place and place.get("content")), "")
