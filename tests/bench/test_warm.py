"""The benchmark of the warm path: its sides give the answers of a bare run, and its figures can be told."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

import warm
import warm_cases


def test_rows_are_answered_by_every_side_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "cases", lambda folder: islice(warm_cases.cases(folder), 2))
    monkeypatch.setattr(warm, "_TURN", 0.001)
    said: list[str] = []
    found = warm.measured(2, said.append)
    assert list(found["cases"]) == ["1x30-json", "1000x30-json"]
    assert said == [case["title"] for case in found["cases"].values()]
    for case in found["cases"].values():
        assert case["bare"] > 0
        assert {"pilotlight_binding", "lambda_binding", "fastapi"} <= case["ratios"].keys()
    assert "FastAPI + pydantic" in warm.table(found)


def test_a_side_that_answers_something_else_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "cases", lambda folder: islice(warm_cases.cases(folder), 1))
    monkeypatch.setattr(warm, "scores", lambda case, body: warm_cases.scores(case, body) + 1)
    with pytest.raises(ValueError, match="1x30 in JSON, a small dense network: .* answers something else"):
        warm.measured(1, print)
