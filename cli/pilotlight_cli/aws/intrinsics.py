"""CloudFormation's functions and conditions, as far as they can be worked out before anything is deployed.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html

What refers to a resource (a Ref, an attribute) is left as it stands, for only a deployment knows its value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.errors import PilotlightError

_PLACE = re.compile(r"\$\{(!?)([^}]+)\}")
Node = Any  # what stands at a place in a template: text, a number, a list, a mapping

_NOTHING = object()  # AWS::NoValue: the property or the item is left out


class TemplateError(PilotlightError):
    """A template, or the values for its parameters, cannot be used."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What names stand for: the values of parameters and pseudo parameters, and the template's conditions."""

    values: Mapping[str, str]
    conditions: Mapping[str, Any] = field(default_factory=dict)


def resolve(node: Node, scope: Scope) -> Node:
    """A part of a template with its functions worked out. Raises TemplateError."""
    resolved = _resolve(node, scope)
    return None if resolved is _NOTHING else resolved


def holds(condition: Node, scope: Scope) -> bool:
    """Whether a condition is true: a name, or one of the condition functions. Raises TemplateError."""
    if isinstance(condition, str):
        if condition not in scope.conditions:
            raise TemplateError(f"there is no condition {condition!r}")
        return holds(scope.conditions[condition], scope)
    match condition:
        case {"Condition": str(name)}:
            return holds(name, scope)
        case {"Fn::Equals": [left, right]}:
            return str(resolve(left, scope)) == str(resolve(right, scope))
        case {"Fn::Not": [inner]}:
            return not holds(inner, scope)
        case {"Fn::And": list(parts)}:
            return all(holds(part, scope) for part in parts)
        case {"Fn::Or": list(parts)}:
            return any(holds(part, scope) for part in parts)
    raise TemplateError(f"expected a condition, found {condition!r}")


def _resolve(node: Node, scope: Scope) -> Node:
    if isinstance(node, list):
        items = (_resolve(item, scope) for item in node)
        return [item for item in items if item is not _NOTHING]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        name, argument = next(iter(node.items()))
        if name in _FUNCTIONS:
            return _FUNCTIONS[name](argument, scope)
    pairs = ((key, _resolve(value, scope)) for key, value in node.items())
    return {key: value for key, value in pairs if value is not _NOTHING}


def _ref(argument: Node, scope: Scope) -> Node:
    return _NOTHING if argument == "AWS::NoValue" else scope.values.get(argument, {"Ref": argument})


def _if(argument: Node, scope: Scope) -> Node:
    condition, yes, no = argument
    return _resolve(yes if holds(condition, scope) else no, scope)


def _sub(argument: Node, scope: Scope) -> Node:
    text, names = (argument, {}) if isinstance(argument, str) else (argument[0], _resolve(argument[1], scope))
    left: dict[str, Any] = {}

    def value(place: re.Match[str]) -> str:
        literal, name = place.groups()
        found = names.get(name, scope.values.get(name))
        if literal or found is None:
            return place[0]
        if isinstance(found, dict):
            left[name] = found
            return place[0]
        return str(found)

    done = _PLACE.sub(value, text)
    if left:
        return {"Fn::Sub": [done, left]}
    if any(not literal for literal, _ in _PLACE.findall(done)):
        return {"Fn::Sub": done}
    return done.replace("${!", "${")


def _join(argument: Node, scope: Scope) -> Node:
    separator, parts = argument[0], _resolve(argument[1], scope)
    if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
        return separator.join(parts)
    return {"Fn::Join": [separator, parts]}


def _split(argument: Node, scope: Scope) -> Node:
    separator, text = argument[0], _resolve(argument[1], scope)
    return text.split(separator) if isinstance(text, str) else {"Fn::Split": [separator, text]}


def _select(argument: Node, scope: Scope) -> Node:
    index, items = argument[0], _resolve(argument[1], scope)
    if not isinstance(items, list):
        return {"Fn::Select": [index, items]}
    if not 0 <= int(index) < len(items):
        raise TemplateError(f"Fn::Select asks for item {index} of {items!r}")
    return items[int(index)]


_FUNCTIONS: Mapping[str, Callable[[Node, Scope], Node]] = {
    "Ref": _ref,
    "Fn::If": _if,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": _select,
}
