"""Evaluates CloudFormation's functions and conditions, as far as that is possible before a deployment.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html

References to resources (a Ref, an attribute) stay as they are: only a deployment knows their values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight_cli.aws import template
from pilotlight_cli.aws.template import Node, TemplateError

_PLACE = re.compile(r"\$\{(!?)([^}]+)\}")

_NOTHING = object()  # AWS::NoValue: the property or the item is left out


@dataclass(frozen=True, slots=True)
class Scope:
    """The values of parameters and pseudo parameters, and the template's conditions, by name."""

    values: Mapping[str, str]
    conditions: Mapping[str, Any] = field(default_factory=dict)


def resolve(node: Node, scope: Scope) -> Node:
    """Return a part of a template with its functions evaluated. Raise TemplateError."""
    resolved = _resolve(node, scope)
    return None if resolved is _NOTHING else resolved


def is_true(condition: Node, scope: Scope) -> bool:
    """Return whether a condition is true: a name, or one of the condition functions. Raise TemplateError."""
    return template.is_true(_expanded(condition, scope), lambda node: resolve(node, scope))


def _expanded(condition: Node, scope: Scope) -> Node:
    """Return a condition with the named ones replaced by what they stand for."""
    match condition:
        case str(name) | {"Condition": str(name)}:
            if name not in scope.conditions:
                raise TemplateError(f"no condition {name!r}")
            return _expanded(scope.conditions[name], scope)
        case {"Fn::Not": list(parts)} | {"Fn::And": list(parts)} | {"Fn::Or": list(parts)}:
            return {name: [_expanded(part, scope) for part in parts] for name in condition}
    return condition


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
    return _resolve(yes if is_true(condition, scope) else no, scope)


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
        raise TemplateError(f"Fn::Select: index {index} is out of range for {items!r}")
    return items[int(index)]


_FUNCTIONS: Mapping[str, Callable[[Node, Scope], Node]] = {
    "Ref": _ref,
    "Fn::If": _if,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": _select,
}
