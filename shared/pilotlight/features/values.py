"""From what a store has to what an instance may have: typed by the model's signature, and nothing is cast silently."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pilotlight.errors import InvalidRequest
from pilotlight.features.plan import Feature, FeaturePlan
from pilotlight.frozen import EMPTY, dataclass
from pilotlight.model.tensor import BOOL, BYTES, Datatype, pack

_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,5})?", re.ASCII)
_BOOLS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What a store has under a key and is no row of it: the reason."""

    reason: str


Stored: TypeAlias = "Mapping[str, object] | Unreadable | None"
"""The values of a row by column, None for a missing one; bytes are text of any type. None if there is no row."""


@dataclass(frozen=True, slots=True)
class Row:
    """The features of an entity. `absence` is why it has none, else empty.

    `faults` has the reason of each feature whose stored value is of another type. What is in neither is missing.
    """

    values: Mapping[str, object] = EMPTY
    faults: Mapping[str, str] = EMPTY
    absence: str = ""


def rows_of(plan: FeaturePlan, stored: Sequence[Stored], now: float) -> list[Row]:
    """Return the rows of what was stored, at a time in seconds since 1970."""
    values: list[dict[str, object]] = [{} for _ in stored]
    faults: list[dict[str, str]] = [{} for _ in stored]
    absences = [_absence(plan, one, now) for one in stored]
    for feature in plan.features:
        found: dict[int, object] = {}
        for index, row in enumerate(stored):
            if absences[index] or row is None:
                continue
            try:
                value = _read(feature, row)
            except ValueError as error:
                faults[index][feature.name] = str(error)
                continue
            if value is not None or (feature.missing and feature.default is None):
                found[index] = value
        for index, reason in _misfits(feature, found).items():
            faults[index][feature.name] = reason
            del found[index]
        for index, value in found.items():
            values[index][feature.name] = value
    return [Row(*parts) for parts in zip(values, faults, absences, strict=True)]


def _absence(plan: FeaturePlan, stored: Stored, now: float) -> str:
    """Return why a row has no features, or nothing."""
    if stored is None:
        return "no features are stored"
    if not plan.written_column or isinstance(stored, Unreadable):
        return ""
    try:
        written = _to_number(stored.get(plan.written_column))
    except ValueError:
        return f"the stored features have no time in {plan.written_column}"
    return "the stored features are too old" if now - written > plan.time_to_live else ""


def _to_number(raw: object) -> float:
    if isinstance(raw, bytes):
        raw = _to_float(raw.decode())
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return raw
    raise ValueError(f"found {raw!r}, expected a number")


def _read(feature: Feature, row: Mapping[str, object] | Unreadable) -> object:
    """Return the value of a feature in a row, None if it is missing. Raise ValueError."""
    if isinstance(row, Unreadable):
        raise ValueError(row.reason)  # noqa: TRY004 - a value of another type is what it stands for
    raw = row.get(feature.column)
    if isinstance(raw, bytes):
        return _parse(raw.decode(), feature.datatype)
    return raw


def _parse(text: str, datatype: Datatype) -> object:
    """Return the value that a text stands for. Raise ValueError."""
    if datatype is BYTES:
        return text
    if datatype is BOOL:
        if text.lower() not in _BOOLS:
            raise ValueError(f"found {text[:40]!r}, expected true or false")
        return _BOOLS[text.lower()]
    if datatype.is_integer:
        if not _WHOLE.fullmatch(text):
            raise ValueError(f"found {text[:40]!r}, expected a whole number")
        return int(text)
    return None if text.lower() == "nan" else _to_float(text)


def _to_float(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"found {text[:40]!r}, expected a number")
    return float(text)


def _misfits(feature: Feature, values: Mapping[int, object]) -> dict[int, str]:
    """Return why values do not fit the feature's datatype, by their index: one by one only if not all do."""
    if not _misfit(feature, list(values.values())):
        return {}
    found = {index: _misfit(feature, [value]) for index, value in values.items()}
    return {index: reason for index, reason in found.items() if reason}


def _misfit(feature: Feature, values: list[object]) -> str:
    try:
        pack(feature.datatype, values, lambda _: "", missing=feature.missing)
    except InvalidRequest as error:
        return error.message
    return ""
