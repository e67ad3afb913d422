"""The release digest: one digest of a package and all settings that shape the function.

SAM publishes a version when the package changes, and not when the value of a parameter does. With this digest in
place of the package's, it publishes one exactly when something of a release changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pilotlight_cli.aws.template import Template, TemplateError, load_template

FUNCTION = "PredictFunction"
PARAMETER = "ReleaseDigest"
RECORDS = "RecordsFunction"
STREAMS = "Streams"
SOURCE = "RecordsSource"  # the parameter that asks for them
"""The nested stack of the function for records, and its folder in a build."""

# Properties of the function as a whole, of its alias or its deployments, which are not part of a version. The bytes of
# the package are in the digest themselves.
_NOT_IN_A_VERSION = frozenset(
    (
        *("CodeUri", "AutoPublishAlias", "AutoPublishCodeSha256", "AutoPublishAliasAllProperties"),
        *("DeploymentPreference", "ProvisionedConcurrencyConfig", "ReservedConcurrentExecutions", "Events"),
        *("Tags", "PropagateTags", "FunctionUrlConfig", "EventInvokeConfig", "VersionDeletionPolicy"),
    )
)

_PLACE = re.compile(r"\$\{([^!}.]+)[^}]*\}")


def release_digest(template: Template, package: Path, values: Mapping[str, str], function: str = FUNCTION) -> str:
    """Return the digest of a built package and of the function's settings, as 64 hexadecimal digits.

    `values` has a value for every parameter of the template.
    """
    settings = _settings(template, function)
    names = set(_names(settings, template.get("Conditions", {})))
    document = {
        "package": _files(package),
        "settings": settings,
        "conditions": {name: template["Conditions"][name] for name in names & template.get("Conditions", {}).keys()},
        "mappings": template.get("Mappings", {}),
        "parameters": {name: values[name] for name in names & values.keys() - {PARAMETER}},
    }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def digest_of_build(template: Template, root: Path, packages: Path, values: Mapping[str, str]) -> str:
    """Return the digest of a release: of the function that predicts, and with a source of records of theirs too.

    `root` is the template's folder, `packages` the folder of a build.
    """
    one = release_digest(template, packages / FUNCTION, values)
    if not values.get(SOURCE):
        return one
    nested = template["Resources"][STREAMS]["Properties"]
    passed = {name: _value(node, template, values) for name, node in nested["Parameters"].items()}
    streams = load_template(root / nested["TemplateURL"])
    other = release_digest(streams, packages / STREAMS / RECORDS, passed, RECORDS)
    return hashlib.sha256(f"{one}{other}".encode()).hexdigest()


def _value(node: object, template: Template, values: Mapping[str, str]) -> str:
    """Return what the value of a nested stack's parameter depends on."""
    names = sorted(set(_names(node, template.get("Conditions", {}))) & values.keys())
    return json.dumps([node, {name: values[name] for name in names}], sort_keys=True)


def _settings(template: Template, name: str) -> dict[str, Any]:
    """Return the function's own properties and the global ones."""
    function = template["Resources"].get(name)
    if function is None:
        raise TemplateError(f"the template has no resource {name}")
    parts = {"own": function["Properties"], "global": template.get("Globals", {}).get("Function", {})}
    return {
        part: {name: value for name, value in properties.items() if name not in _NOT_IN_A_VERSION}
        for part, properties in parts.items()
    }


def _files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a package, by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _names(node: object, conditions: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that a part of a template refers to: parameters, resources, conditions and their own names."""
    if isinstance(node, list):
        for item in node:
            yield from _names(item, conditions)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        match key, value:
            case ("Ref", str(name)):
                yield name
            case ("Condition", str(name)) | ("Fn::If", [str(name), *_]):
                yield name
                yield from _names(conditions.get(name), conditions)
            case ("Fn::Sub", str(text)) | ("Fn::Sub", [str(text), *_]):
                yield from _PLACE.findall(text)
        yield from _names(value, conditions)
