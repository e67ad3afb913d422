"""Translates a SAM template to plain CloudFormation, with the library that AWS runs on its side."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from intrinsics import Scope, is_true, resolve
from pilotlight_cli.aws.template import Template, TemplateError, effective_values

ACCOUNT = "123456789012"
REGION = "us-east-1"
STACK = "pilotlight-dev"


def translate(template: Template, given: Mapping[str, str], packages: Mapping[str, str] | None = None) -> Template:
    """Return the plain CloudFormation template of a SAM template. Raise TemplateError if SAM rejects it.

    `given` has values for its parameters; the others have their defaults. `packages` has S3 URLs of the functions'
    packages by logical id, as `sam package` would write them; a function without one gets a URL with its own name.
    """
    source = copy.deepcopy(template)
    source.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
    for name, resource in source["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function" and "ImageUri" not in resource["Properties"]:
            resource["Properties"]["CodeUri"] = (packages or {}).get(name, f"s3://packages/{name}")
    # It reads only the region of a session; a session of boto3's would read this machine's own settings.
    translator = Translator(None, Parser(), boto_session=SimpleNamespace(region_name=REGION))
    try:
        translated = translator.translate(source, effective_values(template, given), get_managed_policy_map=dict)
    except InvalidDocumentException as error:
        causes = " ".join(cause.message for cause in error.causes)
        raise TemplateError(f"the template cannot be translated: {causes}") from error
    return copy.deepcopy(translated)


def deployed(template: Template, given: Mapping[str, str], stack: str = STACK) -> Template:
    """Return a plain template with its conditions and parameters evaluated, and only the resources that result.

    References to resources stay. Raise TemplateError.
    """
    values = effective_values(template, given) | _pseudo(stack)
    scope = Scope(values, template.get("Conditions", {}))

    def made(section: str) -> dict[str, Any]:
        entries = template.get(section, {}).items()
        kept = {
            name: entry for name, entry in entries if "Condition" not in entry or is_true(entry["Condition"], scope)
        }
        return {name: _without_condition(resolve(entry, scope)) for name, entry in kept.items()}

    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": made("Resources"), "Outputs": made("Outputs")}


def _without_condition(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "Condition"}


def _pseudo(stack: str) -> dict[str, str]:
    return {
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::StackName": stack,
        "AWS::URLSuffix": "amazonaws.com",
    }
