from __future__ import annotations

from types import SimpleNamespace

from reporting import skipped_lines


def test_skipped_tests_are_named_below_the_reason_that_they_share() -> None:
    reports = [
        SimpleNamespace(nodeid="test_a.py::test_one", longrepr=("test_a.py", 3, "Skipped: no Docker")),
        SimpleNamespace(nodeid="test_b.py::test_two", longrepr=("test_b.py", 9, "Skipped: no curl")),
        SimpleNamespace(nodeid="test_a.py::test_three", longrepr=("test_a.py", 7, "Skipped: no Docker")),
    ]
    assert list(skipped_lines(reports)) == [
        "2 skipped: no Docker",
        "  test_a.py::test_one",
        "  test_a.py::test_three",
        "1 skipped: no curl",
        "  test_b.py::test_two",
    ]
