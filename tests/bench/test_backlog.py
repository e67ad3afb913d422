"""The benchmark of waiting messages: a cold function scores all of them, in Lambda's runtime."""

from __future__ import annotations

import pytest

import backlog
from race import RaceError


def test_a_cold_function_scores_all_that_waits() -> None:
    (waited,) = backlog.measured(40, 20, 1)
    assert waited.start > 0
    assert waited.first > 0
    assert len(waited.later) == 1
    assert backlog.Waited(1.0, 2.5, (1.0, 1.0)).batches == 1.5


def test_messages_that_fail_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "texts", lambda: ["poison"])
    with pytest.raises(RaceError, match="the function answers"):
        backlog.measured(2, 2, 1)
