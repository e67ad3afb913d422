"""Reads a CloudFormation template, and checks values for its parameters as CloudFormation would."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pilotlight.errors import PilotlightError

Template = dict[str, Any]
Node = Any  # what a template has at a place: text, a number, a list, a mapping


class TemplateError(PilotlightError):
    """A template, or the values for its parameters, cannot be used."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x` for `{"Ref": "x"}`, `!Sub x` for `{"Fn::Sub": "x"}`."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    argument: Any
    if isinstance(node, yaml.ScalarNode):
        argument = loader.construct_scalar(node)
        if suffix == "GetAtt":
            argument = argument.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        argument = loader.construct_sequence(node, deep=True)
    else:
        argument = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": argument}


_Loader.add_multi_constructor("!", _short_form)


def load_template(path: Path) -> Template:
    """Return the document in a template file, with each short form expanded. Raise TemplateError."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TemplateError(f"{path}: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError(f"{path}: expected a CloudFormation template with Resources")
    return document


def effective_values(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each parameter: the one given, else its default. Raise TemplateError."""
    declared = template.get("Parameters", {})
    if unknown := sorted(given.keys() - declared.keys()):
        raise TemplateError(f"the template has no parameter {unknown[0]}; it has {', '.join(declared)}")
    if missing := [name for name, entry in declared.items() if name not in given and "Default" not in entry]:
        raise TemplateError(f"the template's parameter {missing[0]} needs a value")
    return {name: given.get(name, str(entry.get("Default"))) for name, entry in declared.items()}


def refusals(template: Template, values: Mapping[str, str]) -> list[str]:
    """Return a sentence for each reason to refuse these values: invalid values first, then broken rules."""
    declared = template.get("Parameters", {})
    invalid = [problem for name, entry in declared.items() for problem in _invalid_value(name, entry, values[name])]
    return invalid + list(_broken_rules(template, values))


def _invalid_value(name: str, entry: Mapping[str, Any], value: str) -> Iterator[str]:
    allowed = [str(choice) for choice in entry.get("AllowedValues", [value])]
    if value not in allowed:
        yield f"{name} is {value!r}; expected one of {', '.join(allowed)}"
    if not re.fullmatch(entry.get("AllowedPattern", "(?s:.*)"), value):
        yield f"{name} is {value!r}; it {entry.get('ConstraintDescription', 'has an invalid form')}"
    if entry["Type"] != "Number":
        return
    if not re.fullmatch(r"-?\d+(\.\d+)?", value):
        yield f"{name} is {value!r}; expected a number"
    elif not float(entry.get("MinValue", value)) <= float(value) <= float(entry.get("MaxValue", value)):
        yield f"{name} is {value}; expected {_bounds(entry)}"


def _bounds(entry: Mapping[str, Any]) -> str:
    least, most = entry.get("MinValue"), entry.get("MaxValue")
    return f"{least} to {most}" if most is not None and least is not None else f"at least {least}"


def _broken_rules(template: Template, values: Mapping[str, str]) -> Iterator[str]:
    def operand(node: Node) -> object:
        match node:
            case {"Ref": str(name)}:
                return values.get(name, node)
        return node

    for rule in template.get("Rules", {}).values():
        if "RuleCondition" not in rule or is_true(rule["RuleCondition"], operand):
            for assertion in rule["Assertions"]:
                if not is_true(assertion["Assert"], operand):
                    yield assertion["AssertDescription"]


def is_true(condition: Node, operand: Callable[[Node], object]) -> bool:
    """Return whether a condition is true; `operand` returns the values it compares. Raise TemplateError.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-rules.html
    """
    match condition:
        case {"Fn::Equals": [left, right]}:
            return str(operand(left)) == str(operand(right))
        case {"Fn::Not": [inner]}:
            return not is_true(inner, operand)
        case {"Fn::And": list(parts)}:
            return all(is_true(part, operand) for part in parts)
        case {"Fn::Or": list(parts)}:
            return any(is_true(part, operand) for part in parts)
    raise TemplateError(f"expected a condition, found {condition!r}")
