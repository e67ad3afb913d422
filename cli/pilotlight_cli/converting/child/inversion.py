"""Numbers of a model's columns that its transformers turn into given ones: rows on thresholds behind a scaler.

Found by bisection over the numbers that a datatype has, with the library's own transformers. It needs columns of
numbers each of which grows with one column of the model, as scalers and imputers make them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Sequence

import numpy as np

# So many rows show which column a transformed one depends on.
_ROWS = 16

# How far beyond a column's range, in its width, a number is looked for.
_BEYOND = 1000.0


@dataclass(frozen=True)
class Front:
    """What is before the trees of a graph: the name of the value that they get, and the library's own transformers.

    `transform` turns rows by column, of any one length, into the trees' features. `dtype` is what the trees round to.
    """

    value: str
    transform: Callable[[Sequence[Any]], Any]
    dtype: str


def invert(front: Front, columns: Sequence[Any], rows: Any, probes: Any, asked: Any) -> tuple[list[Any], Any]:  # noqa: ANN401 - arrays
    """Return rows by column that become `probes`, and the index of the column in question of each.

    Probe k is a row of `rows`, the transformed `columns`, with some numbers changed. `asked` is the index of the
    feature in question of each. Every row comes twice: with the last number that is not above its probe, and with the
    first that is not below. What no column grows into keeps its number.
    """
    sources = _sources(front, columns) if len(probes) else {}
    made = [np.concatenate([values, values]) for values in columns]
    changed = (probes != rows) & ~np.isnan(probes)
    cells = {feature: np.flatnonzero(changed[:, feature]) for feature in sources}
    wanted = {feature: np.unique(probes[found, feature]) for feature, found in cells.items() if len(found)}
    for feature, (below, above) in _neighbours(front, columns, sources, wanted).items():
        found = cells[feature]
        target = probes[found, feature]
        places = np.searchsorted(wanted[feature], target)
        on_way = asked[found] != feature  # to the split: a number that has grown may not fall below its bound
        grown = ~(target < rows[found, feature])
        low = np.where(on_way & grown, above[places], below[places])
        high = np.where(on_way & ~grown, below[places], above[places])
        for offset, numbers in ((0, low), (len(rows), high)):
            known = ~np.isnan(numbers)
            made[sources[feature]][offset + found[known]] = numbers[known]
    kept = np.flatnonzero([feature in sources for feature in asked]).astype(np.int64)
    of = np.array([sources[asked[index]] for index in kept], np.int64)
    return [values[np.concatenate([kept, kept + len(rows)])] for values in made], np.concatenate([of, of])


def _sources(front: Front, columns: Sequence[Any]) -> dict[int, int]:
    """Return the column of each transformed one that depends on it alone, where that column has no other."""
    base = [values[:_ROWS] for values in columns]
    before = front.transform(base)
    drives: dict[int, list[int]] = {}
    for index, values in enumerate(columns):
        moved = list(base)
        moved[index] = np.roll(values, 1)[:_ROWS] if len(values) else values
        differs = ~np.isclose(front.transform(moved), before, rtol=0.0, atol=0.0, equal_nan=True)
        for feature in np.flatnonzero(differs.any(axis=0)):
            drives.setdefault(int(feature), []).append(index)
    alone = {feature: found[0] for feature, found in drives.items() if len(found) == 1}
    taken = list(alone.values())
    return {
        feature: index for feature, index in alone.items() if taken.count(index) == 1 and columns[index].dtype != object
    }


def _neighbours(
    front: Front, columns: Sequence[Any], sources: dict[int, int], wanted: dict[int, Any]
) -> dict[int, tuple[Any, Any]]:
    """Return, for the wanted values of features, the last numbers that are not above and the first not below; or NaN.

    All are looked for at once, as no feature depends on another's column.
    """
    count = max(map(len, wanted.values()), default=0)
    features = list(wanted)
    values = np.array([np.tile(np.resize(wanted[feature], count), 2) for feature in features])
    strict = np.arange(2 * count) < count  # looks for the first not below, the other half for the last not above

    def beneath(keys: list[Any]) -> Any:  # noqa: ANN401 - arrays
        repeated = [np.repeat(column[:1], 2 * count) for column in columns]
        for feature, found in zip(features, keys):
            repeated[sources[feature]] = _number(found, columns[sources[feature]].dtype)
        reached = front.transform(repeated)[:, features].astype(front.dtype).T
        return np.where(strict, reached < values, reached <= values)

    if not count:
        return {}
    ends = [_ends(columns[sources[feature]]) for feature in features]
    low, high = ([np.full(2 * count, end[side]) for end in ends] for side in (0, 1))
    bracketed = beneath(low) & ~beneath(high)
    for _ in range(64):  # the bits of a number
        middle = [one // 2 + other // 2 + (one & other & 1) for one, other in zip(low, high)]
        below = beneath(middle)
        low = [np.where(chosen, between, one) for chosen, between, one in zip(below, middle, low)]
        high = [np.where(chosen, other, between) for chosen, between, other in zip(below, middle, high)]
    found = {}
    for index, feature in enumerate(features):
        kind = columns[sources[feature]].dtype
        last, first = (np.where(bracketed[index], _number(side[index], kind), np.nan) for side in (low, high))
        found[feature] = (last[count:], first[:count])
    return found


def _ends(column: Any) -> Any:  # noqa: ANN401 - arrays
    known = column[np.isfinite(column)]
    reach = _BEYOND * max(float(np.ptp(known)), float(np.abs(known).max()), 1.0) if len(known) else _BEYOND
    middle = float(known[0]) if len(known) else 0.0
    return _order(np.array([middle - reach, middle + reach], column.dtype))


def _order(values: Any) -> Any:  # noqa: ANN401 - arrays
    """Return whole numbers in the order of floating point ones, without gaps."""
    whole = values.view(np.int64 if values.itemsize == 8 else np.int32).astype(np.int64)
    least = np.int64(-(2**63) if values.itemsize == 8 else -(2**31))
    return np.where(whole < 0, least - whole, whole)


def _number(keys: Any, kind: Any) -> Any:  # noqa: ANN401 - arrays, a type of numpy
    """Return the numbers of `_order`."""
    wide = kind.itemsize == 8
    least = np.int64(-(2**63) if wide else -(2**31))
    whole = np.where(keys < 0, least - keys, keys)
    return whole.astype(np.int64 if wide else np.int32).view(kind)
