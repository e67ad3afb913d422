"""The benchmark of requests that run together, with a small network."""

from __future__ import annotations

import pytest

import batching


def test_both_sides_answer_under_load_and_their_figures_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_WARM_UP", 0.1)
    (measured,) = batching.measured(1, 0.5, (8, 16, 4))
    assert list(measured) == ["alone", "together"]
    assert all(each["requests_per_second"] > 0 and each["p99"] > 0 for each in measured.values())
    assert batching.table([measured]).count("requests/s, p99") == 2
