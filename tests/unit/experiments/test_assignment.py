"""Who gets which variant: sticky, exact, the same everywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter

import pytest
from scipy.stats import chi2_contingency

from pilotlight.experiments.assignment import BUCKETS, Range, bucket, contains, first_overlap, size
from pilotlight_cli.assets import ROOT
from pilotlight_cli.experimenting.shares import NoShare, resized
from properties import given, st

IDS = [f"user-{number}" for number in range(100_000)]
TENTH, FIFTH = BUCKETS // 10, BUCKETS // 5

ELSEWHERE = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from pilotlight.experiments.assignment import bucket
numbers = [bucket("salt-1", f"user-{number}") for number in range(100_000)]
print(hash("user-1"), hashlib.sha256(repr(numbers).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def buckets() -> list[int]:
    return [bucket("salt-1", unit) for unit in IDS]


def treated(buckets: list[int], ranges: tuple[Range, ...]) -> set[str]:
    return {unit for unit, number in zip(IDS, buckets, strict=True) if contains(ranges, number)}


def test_the_share_of_100_000_ids_is_within_0_3_points_of_the_weight(buckets: list[int]) -> None:
    assert abs(len(treated(buckets, ((0, TENTH),))) / len(IDS) - 0.1) < 0.003


def test_three_processes_with_other_hash_seeds_agree() -> None:
    """Python's own hash() differs in each: what a function must not use."""
    answers = [
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(ROOT / "shared")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2", "3")
    ]
    assert len({hashed for hashed, _ in answers}) == 3
    assert len({digest for _, digest in answers}) == 1


@pytest.mark.parametrize(
    "others", [(), ((TENTH, FIFTH),), ((TENTH, TENTH + 7), (3000, 5000))], ids=["alone", "behind", "between"]
)
def test_a_share_that_grows_moves_only_newcomers(buckets: list[int], others: tuple[Range, ...]) -> None:
    before = resized((), others, TENTH)
    after = resized(before, others, FIFTH)
    assert size(after) == FIFTH
    assert first_overlap([*after, *others]) is None
    assert treated(buckets, before) < treated(buckets, after)
    assert not treated(buckets, after) & treated(buckets, others)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, BUCKETS // 3)), max_size=12))
def test_no_change_of_a_share_moves_a_unit_between_two_treatments(changes: list[tuple[int, int]]) -> None:
    shares: list[tuple[Range, ...]] = [(), (), ()]
    for index, count in changes:
        others = [one for other, ranges in enumerate(shares) if other != index for one in ranges]
        before, shares[index] = shares[index], resized(shares[index], others, count)
        assert size(shares[index]) == count
        assert first_overlap([one for ranges in shares for one in ranges]) is None
        smaller, larger = sorted((before, shares[index]), key=size)
        assert all(any(a <= first and end <= b for a, b in larger) for first, end in smaller)


def test_a_share_that_does_not_fit_is_refused_with_what_is_free() -> None:
    with pytest.raises(NoShare, match=r"found 30 % that no other treatment has, expected 40 %"):
        resized((), ((0, 7000),), 4000)


def test_two_experiments_are_independent(buckets: list[int]) -> None:
    counts = Counter(
        (first < BUCKETS // 2, bucket("salt-2", unit) < BUCKETS // 2) for unit, first in zip(IDS, buckets, strict=True)
    )
    table = [[counts[a, b] for b in (False, True)] for a in (False, True)]
    assert chi2_contingency(table).pvalue > 0.01


def test_the_test_vectors_of_the_reference_hold() -> None:
    page = (ROOT / "docs" / "reference" / "experiments.md").read_text()
    vectors = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (\d+) \|$", page, re.MULTILINE)
    assert len(vectors) >= 5
    assert [bucket(salt, unit) for salt, unit, _ in vectors] == [int(number) for _, _, number in vectors]
