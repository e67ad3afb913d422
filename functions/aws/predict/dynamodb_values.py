"""Values of DynamoDB as JSON has them.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pilotlight.codec.body import read_json
from pilotlight.errors import InvalidRequest

_WHOLE = re.compile(r"-?[0-9]+", re.ASCII)


def to_values(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the values of each item by the names of its attributes; binary values stay base64."""
    numbers = iter(_numbers([typed["N"] for item in items for typed in item.values() if "N" in typed]))
    return [{name: next(numbers) if "N" in typed else _value(typed) for name, typed in item.items()} for item in items]


def _numbers(texts: Sequence[str]) -> list[float]:
    """Read numbers; all together if each is written as JSON has it."""
    with suppress(InvalidRequest):
        values: Any = read_json(f"[{','.join(texts)}]".encode())
        if len(values) == len(texts) and set(map(type, values)) <= {int, float}:
            return list(values)
    return [_number(text) for text in texts]


def _value(typed: dict[str, Any]) -> Any:  # noqa: ANN401 - a JSON value
    ((kind, value),) = typed.items()
    match kind:
        case "N":
            return _number(value)
        case "NS":
            return [_number(each) for each in value]
        case "L":
            return [_value(each) for each in value]
        case "M":
            return to_values([value])[0]
        case "NULL":
            return None
    return value


def _number(text: str) -> float:
    return int(text) if _WHOLE.fullmatch(text) else float(text)
