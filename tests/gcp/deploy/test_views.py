"""What a person sees of a rollout."""

from __future__ import annotations

import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from fakes.cloud_run import Target, as_v2
from gcp.deploy.rolling import LOCK, NEW, NOON, OLD, PLAN, Process, World, started
from pilotlight_cli.assets import ROOT
from pilotlight_cli.gcp import views
from pilotlight_cli.gcp.plan import Observation
from pilotlight_cli.gcp.rollout import Step
from pilotlight_cli.gcp.services import Service
from pilotlight_cli.gcp.state import State
from pilotlight_cli.main import app
from repository import copied_project


def shown(renderable: RenderableType) -> list[str]:
    """As on a wide terminal, with single spaces."""
    out = StringIO()
    Console(file=out, width=200).print(renderable)
    return [" ".join(line.split()) for line in out.getvalue().splitlines() if line.strip()]


def service_of(world: World) -> Service:
    return Process(world).read()


def test_the_board_has_all_steps_with_what_was_seen_so_far() -> None:
    board, state = views.Board(PLAN), State(OLD, NEW, 0, NOON, LOCK)
    board.add(Step(state, Observation(), 1.2, "5 golden samples agree"))
    board.add(
        Step(replace(state, percent=10), Observation((50.0,) * 20, 1, 0), 33.4, "20 requests, 1 failed, p95 50 ms")
    )
    assert shown(board.table()) == [
        "new revision requests failed p95 after",
        "0 % 1 s 5 golden samples agree",
        "10 % 20 1 50 ms 33 s 20 requests, 1 failed, p95 50 ms",
        "50 %",
        "100 %",
    ]


def test_a_plan_says_what_is_done_and_what_is_under_way() -> None:
    world = started()
    assert shown(views.plan_table(PLAN, service_of(world)))[1:3] == [
        "0 % in progress the golden samples pass at the tag's URL",
        "10 % 20 requests, or 60 s and the golden samples",
    ]
    assert shown(views.plan_table(PLAN, None))[1] == "0 % the golden samples pass at the tag's URL"


def test_a_sentence_says_who_has_the_traffic() -> None:
    world = World()
    assert views.status_text(None) == "the function is not deployed yet: the first deployment has no traffic to shift"
    assert views.status_text(service_of(world)) == f"predict: {OLD} 100 %; the newest revision, {NEW}, has none"
    assert views.status_text(service_of(started())) == (
        f"predict: {OLD} 100 %; a rollout of {NEW} is in progress since 2026-07-31 12:00 UTC"
    )
    world.service.send(Target(OLD, 30), Target(NEW, 70))
    assert views.status_text(service_of(world)) == f"predict: {OLD} 30 %, {NEW} 70 %"
    assert as_v2(world.service)["latestReadyRevision"].endswith(NEW)


def test_for_a_program_it_is_a_document() -> None:
    assert views.document(PLAN, service_of(started())) == {
        "service": "predict",
        "traffic": {OLD: 100},
        "under_way": {"old": OLD, "new": NEW, "percent": 0},
        "steps": [10, 50, 100],
    }


def test_where_nothing_can_move_a_line_comes_with_each_news(capsys: pytest.CaptureFixture[str]) -> None:
    state = State(OLD, NEW, 10, NOON, LOCK)
    with views.watching(PLAN) as on_step:
        for reason in ("3 of 20 requests", "3 of 20 requests", "4 of 20 requests"):
            on_step(Step(state, Observation(), 1.0, reason))
    assert capsys.readouterr().err.splitlines() == [
        f"{NEW} at 10 %: 3 of 20 requests",
        f"{NEW} at 10 %: 4 of 20 requests",
    ]


def test_on_a_terminal_the_table_moves(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with views.watching(PLAN) as on_step:
        on_step(Step(State(OLD, NEW, 10, NOON, LOCK), Observation(), 1.0, "3 of 20 requests"))
    printed = capsys.readouterr().err
    assert "3 of 20 requests" in printed
    assert "100 %" in printed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["rollout", "gcp", "--env", "dev", "--plan", "--rollback"], "--plan and --rollback are mutually exclusive"),
        (["rollout", "gcp", "--env", "moon"], "has no [moon]; it has dev, staging, prod"),
        (["deploy", "gcp", "--env", "dev", "--settings", "nowhere.toml"], "nowhere.toml not found"),
        (["deploy", "gcp"], "Missing option '--env'"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied_project(tmp_path).root)
    shutil.copyfile(ROOT / "gcp.toml", "gcp.toml")
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
