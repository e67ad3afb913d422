"""Which versions a deployment of CodeDeploy's shifts traffic between."""

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
    """A function's name, its alias, and the version to which all of the alias's traffic is to go."""

    function: str
    alias: str
    target: str


def read_shift(codedeploy: CodeDeployClient, deployment: str) -> Shift:
    """What a deployment shifts. Raises CheckFailed where it cannot be told.

    A deployment names its revision; of one that CloudFormation made it has the digest alone, and the content has to be
    asked for. That is an AppSpec in JSON:
    https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-resources.html
    """
    info = codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]
    revision = info["revision"]
    content = _content(revision)
    if not content:
        found = codedeploy.get_application_revision(applicationName=info["applicationName"], revision=revision)
        content = _content(found["revision"])
    try:
        resources = json.loads(content)["Resources"]
        (properties,) = [item["Properties"] for resource in resources for item in resource.values()]
        return Shift(*(str(properties[name]) for name in ("Name", "Alias", "TargetVersion")))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckFailed(
            f"deployment {deployment} has a revision of type {revision.get('revisionType')!r} with the content "
            f"{content[:500]!r}; expected an AppSpec in JSON with one function"
        ) from None


def _content(revision: RevisionLocationTypeDef) -> str:
    """The AppSpec in a revision, wherever it stands; empty where it is left out."""
    places = (revision.get("appSpecContent"), revision.get("string"))
    return next((place["content"] for place in places if place and place.get("content")), "")
