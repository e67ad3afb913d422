"""Counts of how far a shadow's answers are from the served ones: they add up over requests, processes and log lines.

An output of labels has its flips. One of numbers has a histogram of the distances whose bins are equal parts of a power
of ten, so that a bin's number is `floor(scale * log10(distance))`. `scale` is a power of two: half as many bins are the
same distances counted anew, and sums of any parts equal the count of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import floor, inf, log10
from typing import Any, TypeAlias

from pilotlight.codec.encode import to_json
from pilotlight.shadow.pairs import Pair, distance, floats, is_flip

Counts: TypeAlias = "dict[str, Any]"
"""An output's counts: `before` and `after` are its names, `width` the values a row, `values` how many were compared.

Labels: `flips`, and the most frequent of these in `kinds`, `[before, after, count]`. Numbers: `unmatched` of which one
alone is finite, `equal`, `sum` and `largest` of the distances, and `bins` with their `scale`: the number and the count
of the first bin, then how far each next bin is, and its count. Or `problem`, why there is nothing to count.
"""

# Bins of a power of ten: a distance is known to 0.03 % at first.
FINEST = 4096
_MOST_KINDS = 40


def count(pairs: Iterable[Pair], labels: Iterable[object]) -> list[Counts]:
    """Count the outputs of some rows. Flips between `labels`, which are published, are counted by kind too."""
    known = set(map(str, labels))
    return [_count(pair, known) for pair in pairs]


def merged(parts: Sequence[Sequence[Counts]]) -> list[Counts]:
    """Add up counts; those of one output have its names."""
    found: dict[tuple[str, str], Counts] = {}
    for one in chain.from_iterable(parts):
        names = one["before"], one["after"]
        found[names] = _add(found[names], one) if names in found else one
    return list(found.values())


def fitted(outputs: Sequence[Counts], most_bytes: int) -> list[Counts]:
    """Return counts that take at most so many bytes in JSON: with fewer bins and kinds, at last with fewer outputs."""
    kept = list(outputs)
    while len(to_json(kept)) > most_bytes:
        sizes = [len(to_json([one.get("bins", ()), one.get("kinds", ())])) for one in kept]
        place = sizes.index(max(sizes))
        one = kept[place]
        if len(one.get("bins", ())) > 2 and one["scale"] > 1:
            kept[place] = _coarser(one, one["scale"] // 2)
        elif one.get("kinds"):
            kept[place] = one | {"kinds": one["kinds"][: len(one["kinds"]) // 2]}
        else:
            kept.pop()
    return kept


def unpacked(bins: Sequence[int]) -> dict[int, int]:
    """Return the count of each bin, by its number, in ascending order."""
    counts, number = {}, 0
    for gap, values in zip(bins[::2], bins[1::2], strict=True):
        number += gap
        counts[number] = values
    return counts


def _count(pair: Pair, labels: set[str]) -> Counts:
    counts: Counts = {"before": pair.name, "after": pair.other_name, "width": pair.width, "values": len(pair.before)}
    if pair.problem:
        return counts | {"problem": pair.problem}
    if pair.is_exact:
        values = zip(pair.before, pair.after, strict=True)
        flips = [(str(old), str(new)) for old, new in values if is_flip(old, new)]
        return counts | {"flips": len(flips), "kinds": _kinds(Counter(one for one in flips if labels.issuperset(one)))}
    distances = [distance(old, new) for old, new in zip(floats(pair.before), floats(pair.after), strict=True)]
    apart = [one for one in distances if one is not None and one != inf]
    return counts | {
        "unmatched": distances.count(inf),
        "equal": apart.count(0.0),
        "sum": sum(apart),
        "largest": max(apart, default=0.0),
        "scale": FINEST,
        "bins": _packed(Counter(floor(FINEST * log10(one)) for one in apart if one)),
    }


def _add(one: Counts, other: Counts) -> Counts:
    if "problem" in one or "problem" in other:
        return one if "problem" in one else other
    total = one | {"values": one["values"] + other["values"]}
    if "flips" in one:
        kinds = Counter({(old, new): times for old, new, times in one["kinds"]})
        kinds.update({(old, new): times for old, new, times in other["kinds"]})
        return total | {"flips": one["flips"] + other["flips"], "kinds": _kinds(kinds)}
    scale = min(one["scale"], other["scale"])
    bins = Counter(unpacked(_coarser(one, scale)["bins"]))
    bins.update(unpacked(_coarser(other, scale)["bins"]))
    sums = {name: one[name] + other[name] for name in ("unmatched", "equal", "sum")}
    return total | sums | {"largest": max(one["largest"], other["largest"]), "scale": scale, "bins": _packed(bins)}


def _coarser(counts: Counts, scale: int) -> Counts:
    """Return counts with so many bins of a power of ten."""
    bins: Counter[int] = Counter()
    for number, values in unpacked(counts["bins"]).items():
        bins[number * scale // counts["scale"]] += values
    return counts | {"scale": scale, "bins": _packed(bins)}


def _packed(bins: Mapping[int, int]) -> list[int]:
    numbers = sorted(bins)
    gaps = [number - before for before, number in zip([0, *numbers], numbers, strict=False)]
    return list(chain.from_iterable(zip(gaps, map(bins.__getitem__, numbers), strict=True)))


def _kinds(kinds: Counter[tuple[str, str]]) -> list[list[Any]]:
    frequent = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:_MOST_KINDS]
    return [[old, new, times] for (old, new), times in frequent]
