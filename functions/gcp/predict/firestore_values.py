"""Values of Firestore as JSON has them: https://cloud.google.com/firestore/docs/reference/rest/v1/Value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def to_value(typed: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a JSON value
    """Return a value: NaN as None, a time in seconds since 1970, and what no feature can be as Firestore has it."""
    ((kind, value),) = typed.items()
    match kind:
        case "nullValue":
            return None
        case "booleanValue" | "stringValue":
            return value
        case "integerValue":
            return int(value)
        case "doubleValue":
            number = float(value)
            return None if number != number else number  # noqa: PLR0124 - what is not itself is NaN
        case "timestampValue":
            from datetime import datetime  # noqa: PLC0415 - few rows have a time

            return datetime.fromisoformat(value).timestamp()
    return typed
