"""The environments of the stack: tables in samconfig.toml, which SAM CLI reads too."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotlight.errors import PilotlightError
from pilotlight_cli.aws import AwsUsageError

# Lambda's names end at 64 characters, and the longest in the template is CodeDeployHook_STACK-post.
_STACK = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,43}")
STACK_EXPECTED = "at most 44 letters, digits and hyphens, a letter first"

_DEFAULT = "default"  # what SAM CLI uses without --config-env
_PAIR = re.compile(r"([\w.:/@-]+)=(.*)", re.DOTALL)


class SamConfigError(PilotlightError):
    """samconfig.toml is invalid; the message names the place."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A stack to deploy to, and the values of the template's parameters there.

    `region` is empty if AWS's own variables and configuration files decide. `tags` are the stack's own.
    """

    name: str
    stack: str
    region: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)


def is_stack_name(name: str) -> bool:
    """Return whether a stack of the template can have this name."""
    return bool(_STACK.fullmatch(name))


def read_environment(name: str, file: Path) -> Environment:
    """Return an environment of a samconfig.toml. Raise AwsUsageError if it has no such table, or SamConfigError."""
    tables = _tables(file)
    if name not in tables:
        raise AwsUsageError(f"{file} has no environment {name!r}; it has {', '.join(tables)}")
    shared, own = (_parameters(tables[name], name, command, file) for command in ("global", "deploy"))
    merged = shared | own
    place = f"{name}.deploy.parameters"
    stack = _text(merged, "stack_name", place, file)
    if not is_stack_name(stack):
        raise _invalid(file, f"{place}.stack_name", stack, STACK_EXPECTED)
    region = _text(merged, "region", place, file) if "region" in merged else ""
    overrides, tags = (_pairs(merged, key, place, file) for key in ("parameter_overrides", "tags"))
    return Environment(name, stack, region, overrides, tags)


def environment_names(file: Path) -> list[str]:
    """Return the names of the environments in a samconfig.toml, `default` only if it is the only one.

    Raise SamConfigError.
    """
    names = list(_tables(file))
    return [name for name in names if name != _DEFAULT] or names


def _tables(file: Path) -> dict[str, dict[str, Any]]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SamConfigError(f"{file}: {error}") from error
    return {name: table for name, table in document.items() if isinstance(table, dict)}


def _parameters(environment: Mapping[str, Any], name: str, command: str, file: Path) -> dict[str, Any]:
    value: Any = environment
    for place in (command, "parameters"):
        value = value.get(place, {})
        if not isinstance(value, dict):
            raise _invalid(file, f"{name}.{command}", value, "a table with parameters")
    return dict(value)


def _text(parameters: Mapping[str, Any], name: str, place: str, file: Path) -> str:
    value = parameters.get(name)
    if not isinstance(value, str) or not value:
        raise _invalid(file, f"{place}.{name}", value, "a string")
    return value


def parse_parameter(text: str) -> tuple[str, str] | None:
    """Return name and value of a parameter or of a tag from NAME=VALUE, or None."""
    match = _PAIR.fullmatch(text)
    return (match[1], _unquoted(match[2])) if match else None


def _pairs(parameters: Mapping[str, Any], name: str, place: str, file: Path) -> dict[str, str]:
    """Return the values in a list of NAME=VALUE: of the template's parameters, or of tags."""
    place, items = f"{place}.{name}", parameters.get(name, [])
    if not isinstance(items, list):
        raise _invalid(file, place, items, 'a list of "Name=Value"')
    values: dict[str, str] = {}
    for number, item in enumerate(items):
        parsed = parse_parameter(item) if isinstance(item, str) else None
        if parsed is None:
            raise _invalid(file, f"{place}[{number}]", item, '"Name=Value"')
        key, value = parsed
        if key in values:
            raise _invalid(file, f"{place}[{number}]", item, f"{key} only once")
        values[key] = value
    return values


def _unquoted(value: str) -> str:
    """Return a value without the quotes around it, as SAM CLI does; an empty value has to be written as ""."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _invalid(file: Path, place: str, found: object, expected: str) -> SamConfigError:
    shown = "nothing" if found is None else repr(found)
    return SamConfigError(f"{file}: {place}: found {shown}, expected {expected}")
