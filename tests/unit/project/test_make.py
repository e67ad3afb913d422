"""`make test`, with another program for Python that notes how it was called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pilotlight_cli.assets import ROOT

ALONE = "-m pytest -m alone"
OTHERS = "-m pytest -m not alone -n 4 --dist loadfile --durations=10"

NOTES = """#!/bin/sh
cd '{}' && echo "$*" >> calls && code=$(head -n 1 codes) && tail -n +2 codes > rest && mv rest codes && exit $code
"""


def make_test(folder: Path, codes: str, *variables: str) -> tuple[int, list[str]]:
    """How `make test` ends where Python ends with these codes, one after the other, and what Python was given."""
    (folder / "codes").write_text("".join(f"{code}\n" for code in codes))
    python = folder / "python"
    python.write_text(NOTES.format(folder))
    python.chmod(0o755)
    command = ["make", "--old-file=.venv/.dev", "test", f"BIN={folder}", *variables]
    environ = {"PATH": os.environ["PATH"]}  # without what a make around this test says
    done = subprocess.run(command, cwd=ROOT, env=environ, check=False, capture_output=True)
    assert (folder / "codes").read_text() == "", "a call is missing"
    return done.returncode, (folder / "calls").read_text().splitlines()


def test_all_tests_run_in_two_runs_of_which_the_second_is_parallel(tmp_path: Path) -> None:
    assert make_test(tmp_path, "00") == (0, [ALONE, OTHERS])


@pytest.mark.parametrize("codes", ["01", "10", "11", "05"])
def test_a_failure_in_either_run_fails_the_whole_and_hides_none_in_the_other(codes: str, tmp_path: Path) -> None:
    assert make_test(tmp_path, codes) == (2, [ALONE, OTHERS])


@pytest.mark.parametrize("code", "2345")
def test_after_a_run_that_was_interrupted_or_found_no_tests_none_begins(code: str, tmp_path: Path) -> None:
    assert make_test(tmp_path, code) == (2, [ALONE])


@pytest.mark.parametrize("code", ["0", "1", "5"])
def test_arguments_go_to_one_run_whose_end_is_the_end(code: str, tmp_path: Path) -> None:
    expected = 0 if code == "0" else 2
    assert make_test(tmp_path, code, "ARGS=tests/unit -k decode") == (expected, ["-m pytest tests/unit -k decode"])


def test_coverage_is_measured_where_it_is_asked_for(tmp_path: Path) -> None:
    assert make_test(tmp_path, "00", "COVERAGE=1")[1] == [ALONE, f"{OTHERS} --cov --cov-report="]


def test_the_number_of_workers_can_be_chosen(tmp_path: Path) -> None:
    assert make_test(tmp_path, "00", "WORKERS=2")[1] == [ALONE, OTHERS.replace("-n 4", "-n 2")]
