"""The templates as AWS would make them: what is left of a translation once every parameter has its value.

The translation is imported by the functions that need it: AWS's library takes longer to import than most tests.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws.template import Template, effective_values, load_template, refusals

Resources = dict[str, dict[str, Any]]


def unfolded(template: Template, name: str, folder: Path = ROOT) -> Template:
    """Return a template in `folder` with the resources of a nested stack in the place of that stack."""
    whole = copy.deepcopy(template)
    made = whole["Resources"].pop(name)["Properties"]
    nested = load_template(folder / made["TemplateURL"])
    defaults = {key: entry["Default"] for key, entry in nested["Parameters"].items() if "Default" in entry}
    inner = _replaced(nested, {"Ref": defaults | made["Parameters"]})
    outputs = {f"Outputs.{key}": output["Value"] for key, output in inner["Outputs"].items()}
    outer: Template = _replaced(whole, {name: outputs})
    for section in ("Resources", "Conditions"):
        outer[section] = {**outer.get(section, {}), **inner.get(section, {})}
    return outer


def _replaced(node: Any, values: dict[str, dict[str, Any]]) -> Any:
    """Return a part of a template with other values for some references, by resource (or "Ref") and attribute."""
    match node:
        case list():
            return [_replaced(item, values) for item in node]
        case {"Ref": str(name)} if name in values.get("Ref", {}):
            return values["Ref"][name]
        case {"Fn::GetAtt": [str(name), attribute]} if attribute in values.get(name, {}):
            return values[name][attribute]
        case {"Fn::Sub": str(text)}:
            return {"Fn::Sub": re.sub(r"\$\{([^!}]+)\}", lambda found: _text_of(found, values), text)}
        case dict():
            return {key: _replaced(value, values) for key, value in node.items()}
    return node


def _text_of(found: re.Match[str], values: dict[str, dict[str, Any]]) -> str:
    name, _, attribute = found[1].partition(".")
    match values.get(name, {}).get(attribute) if attribute else values.get("Ref", {}).get(name):
        case None:
            return found[0]
        case {"Ref": str(other)}:
            return f"${{{other}}}"
        case {"Fn::GetAtt": [str(other), attribute]}:
            return f"${{{other}.{attribute}}}"
        case {"Fn::Sub": str(text)}:
            return text
        case value:
            return str(value)


TEMPLATE = load_template(ROOT / "template.yaml")
BOOTSTRAP = load_template(ROOT / "bootstrap.yaml")
MONITORING = load_template(ROOT / TEMPLATE["Resources"]["Monitoring"]["Properties"]["TemplateURL"])
STREAMS = load_template(ROOT / TEMPLATE["Resources"]["Streams"]["Properties"]["TemplateURL"])
JUDGE = load_template(ROOT / TEMPLATE["Resources"]["Judge"]["Properties"]["TemplateURL"])
BATCH = load_template(ROOT / "deploy/aws/batch.yaml")
MANAGED_INSTANCES = load_template(ROOT / "deploy/aws/managed-instances.yaml")
UNFOLDED = unfolded(TEMPLATE, "ReleaseAlarms")
UNFOLDED_STREAMS = unfolded(STREAMS, "ReleaseAlarms", ROOT / "deploy/aws")
NESTED = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "deploy/aws").glob("*.yaml"))

START_MODES: dict[str, dict[str, str]] = {
    "on-demand": {},
    "provisioned": {"StartMode": "provisioned", "MinProvisioned": "2", "MaxProvisioned": "10"},
    "snapstart": {"StartMode": "snapstart"},
}
AUTHORIZATIONS: dict[str, dict[str, str]] = {
    "iam": {},
    "jwt": {"Authorization": "jwt", "JwtIssuer": "https://issuer.example.com/", "JwtAudience": "models,other"},
    "api-key": {"Authorization": "api-key"},
    "open-to-everyone": {"Authorization": "open-to-everyone"},
}
_ACCOUNT = "us-east-1:123456789012"
# Each kind of source of records, with what it needs besides.
SOURCES: dict[str, dict[str, str]] = {
    "create": {"RecordsSource": "create"},
    "create-fifo": {"RecordsSource": "create-fifo"},
    "queue": {"RecordsSource": f"arn:aws:sqs:{_ACCOUNT}:rows"},
    "fifo": {"RecordsSource": f"arn:aws:sqs:{_ACCOUNT}:rows.fifo"},
    "kinesis": {"RecordsSource": f"arn:aws:kinesis:{_ACCOUNT}:stream/rows"},
    "dynamodb": {"RecordsSource": f"arn:aws:dynamodb:{_ACCOUNT}:table/rows/stream/2026-12-02T00:00:00.000"},
    "msk": {
        "RecordsSource": f"arn:aws:kafka:{_ACCOUNT}:cluster/rows/0a1b-2c3d",
        "KafkaTopic": "rows",
    },
    "kafka": {
        "RecordsSource": "kafka://one.example.com:9096,two.example.com:9096",
        "KafkaTopic": "rows",
        "KafkaSecretArn": f"arn:aws:secretsmanager:{_ACCOUNT}:secret:kafka-a1b2c3",
    },
}
SOURCES = {name: {**given, "RecordsResults": "s3://results/scores"} for name, given in SOURCES.items()}
# Each parameter that shapes the function, with another value than its default.
SHAPING = {
    "MemorySize": "3008",
    "Architecture": "arm64",
    "TimeoutSeconds": "20",
    "EphemeralStorageMb": "1024",
    "Threads": "2",
    "MaxBodyBytes": "1000000",
    "BasePath": "/models/fraud",
    "InputPrefixes": "s3://inputs/",
    "RestApiBinary": "true",
    "StoreUrl": "s3://elsewhere/models",
    "Tracing": "true",
    "LogLevel": "DEBUG",
    "MetricsNamespace": "Elsewhere",
    "Layers": "arn:aws:lambda:us-east-1:123456789012:layer:tools:1",
    "SubnetIds": "subnet-0a1b,subnet-2c3d",
    "SecurityGroupIds": "sg-4e5f",
    "StartMode": "snapstart",
}

MODES = [
    {**START_MODES[start], **AUTHORIZATIONS[authorization]}
    for start, authorization in itertools.product(START_MODES, AUTHORIZATIONS)
]


def stack(**given: str) -> Resources:
    """Return the resources of a stack of template.yaml with the alarms of its release, after the transform."""
    return _stack(tuple(sorted(given.items())))


@cache
def _stack(given: tuple[tuple[str, str], ...]) -> Resources:
    from translation import deployed, translate

    values = dict(given)
    assert refused(**values) == []
    resources: Resources = deployed(translate(UNFOLDED, values), values)["Resources"]
    return resources


def monitoring(**given: str) -> Resources:
    """Return the resources of the nested stack; a name of a resource of the outer one stands for its value."""
    from translation import deployed

    passed = {name: _name(value) for name, value in properties(stack(**given), "Monitoring")["Parameters"].items()}
    assert refusals(MONITORING, effective_values(MONITORING, passed)) == []
    resources: Resources = deployed(MONITORING, passed)["Resources"]
    return resources


def judge(**given: str) -> Resources:
    """Return the resources of the nested stack that judges releases, after the transform."""
    from translation import deployed, translate

    passed = {name: _name(value) for name, value in properties(stack(**given), "Judge")["Parameters"].items()}
    assert refusals(JUDGE, effective_values(JUDGE, passed)) == []
    resources: Resources = deployed(translate(JUDGE, passed), passed)["Resources"]
    return resources


def streams(**given: str) -> Resources:
    """Return the resources of the nested stack for records, with the alarms of its release, after the transform."""
    from translation import deployed, translate

    passed = streams_parameters(**given)
    assert refusals(STREAMS, effective_values(STREAMS, passed)) == []
    resources: Resources = deployed(translate(UNFOLDED_STREAMS, passed), passed)["Resources"]
    return resources


def streams_parameters(**given: str) -> dict[str, str]:
    """Return what the nested stack for records gets; a name of a resource of the outer one stands for its value."""
    return {name: _name(value) for name, value in properties(stack(**given), "Streams")["Parameters"].items()}


def _name(value: Any) -> str:
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            return name
    return str(value)


def released(package: str = "s3://packages/first", **given: str) -> Resources:
    """Return the resources of a stack whose predict function comes from a package at that place."""
    from translation import deployed, translate

    translated = translate(TEMPLATE, given, {"PredictFunction": package})
    resources: Resources = deployed(translated, given)["Resources"]
    return resources


def bootstrap(**given: str) -> Resources:
    """Return the resources of the stack of bootstrap.yaml."""
    from translation import deployed

    assert refusals(BOOTSTRAP, effective_values(BOOTSTRAP, given)) == []
    resources: Resources = deployed(BOOTSTRAP, given, "pilotlight-bootstrap")["Resources"]
    return resources


def refused(**given: str) -> list[str]:
    """Return why CloudFormation refuses these values for template.yaml."""
    return refusals(TEMPLATE, effective_values(TEMPLATE, given))


def properties(resources: Resources, name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name].get("Properties", {})
    return found


def of_type(resources: Resources, type_: str) -> list[str]:
    """Return the logical ids of a type."""
    return [name for name, resource in resources.items() if resource["Type"] == type_]


def the(resources: Resources, type_: str) -> str:
    """Return the logical id of the only resource of a type."""
    (name,) = of_type(resources, type_)
    return name


def references(node: Any) -> Iterator[str]:
    """Return the logical ids that a part of a template refers to, and `AWS::...` names."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref":
                yield value
            elif key == "Fn::GetAtt":
                yield value[0]
            elif key == "Fn::Sub":
                text = value if isinstance(value, str) else value[0]
                yield from (name.partition(".")[0] for name in re.findall(r"\$\{([^!}][^}]*)\}", text))
            yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def waits_for(resources: Resources, name: str) -> set[str]:
    """Return the resources that CloudFormation makes before this one: by DependsOn and all its references."""
    resource = resources[name]
    declared = resource.get("DependsOn", [])
    named = {declared} if isinstance(declared, str) else set(declared)
    return (named | set(references(resource))) & resources.keys()


def statements(resources: Resources, role: str) -> dict[str, dict[str, Any]]:
    """Return a role's statements by their names."""
    policies = properties(resources, role)["Policies"]
    return {entry["Sid"]: entry for policy in policies for entry in policy["PolicyDocument"]["Statement"]}


def text(node: Any) -> str:
    return json.dumps(node, sort_keys=True)
