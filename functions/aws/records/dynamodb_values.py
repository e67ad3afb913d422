"""Values of DynamoDB as JSON has them.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_WHOLE = re.compile(r"-?[0-9]+", re.ASCII)


def to_values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item's values by the names of its attributes; binary values stay base64."""
    return {name: _value(typed) for name, typed in attributes.items()}


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
            return to_values(value)
        case "NULL":
            return None
    return value


def _number(text: str) -> float:
    return int(text) if _WHOLE.fullmatch(text) else float(text)
