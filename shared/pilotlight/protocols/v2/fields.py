"""Fields that entries of a V2 request share: unique names, and parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from pilotlight.codec.body import read_fields
from pilotlight.errors import InvalidRequest
from pilotlight.model.json_document import describe

Entries: TypeAlias = dict[str, tuple[dict[str, Any], str]]
"""Each tensor's entry and its path, by the tensor's name."""


def by_name(entries: object, path: str, required: Collection[str], optional: Collection[str]) -> Entries:
    """Return the entries of a list of named tensors, by name. Raise InvalidRequest."""
    if not isinstance(entries, list):
        raise InvalidRequest(f"expected an array of tensors, found {describe(entries)}", path)
    named: Entries = {}
    for index, entry in enumerate(entries):
        place = f"{path}[{index}]"
        name = read_fields(entry, place, required, optional)["name"]
        if not isinstance(name, str):
            raise InvalidRequest(f"expected a string, found {describe(name)}", f"{place}.name")
        if name in named:
            raise InvalidRequest(f"duplicate name {describe(name)}", f"{place}.name")
        named[name] = entry, place
    return named


def parameters(fields: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return an entry's parameters: strings, numbers and booleans. Some clients send null, which counts as missing."""
    found = fields.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidRequest(f"expected an object, found {describe(found)}", f"{path}.parameters")
    given = {name: value for name, value in found.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, (str, int, float)):
            raise InvalidRequest(
                f"expected a string, a number or a boolean for {describe(name)}, found {describe(value)}",
                f"{path}.parameters",
            )
    return given


def flag(parameters: Mapping[str, Any], name: str, path: str, *, default: bool) -> bool:
    """Return a parameter that is true or false; `path` is the place of its entry."""
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidRequest(f"expected true or false, found {describe(value)}", f"{path}.parameters.{name}")
    return value
