"""Commands for the function on Google Cloud: deploy, rollout, rollback."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.calling import calling_command
from pilotlight_cli.commands.options import AsJson, LockPath, ModelName, in_ci
from pilotlight_cli.project.folders import selected

if TYPE_CHECKING:
    from pilotlight_cli.gcp.deploy import Operator
    from pilotlight_cli.gcp.plan import Plan
    from pilotlight_cli.gcp.platform import Google
    from pilotlight_cli.gcp.rollout import Outcome

Environment = Annotated[
    str, typer.Option("--env", metavar="ENV", help="Environment: a table in gcp.toml.", show_default=False)
]
Settings = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="Settings of the environments (default: gcp.toml beside the lock).",
        show_default=False,
    ),
]


def deploy(
    *,
    environment: Environment,
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="URL", help="Store to copy the pinned version from, if it is missing in the target."
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation (also skipped when CI is set).")] = False,
    model: ModelName = "",
    lock: LockPath = None,
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="Folder to stage the package in (default: in build/).", show_default=False
        ),
    ] = None,
    function: Annotated[
        Literal["predict", "records"],
        typer.Option("--function", help="Function to deploy: predict, or records with its trigger."),
    ] = "predict",
    json: AsJson = False,
) -> None:
    """Deploy this working copy as a new revision and shift traffic to it step by step."""
    from pilotlight_cli.gcp import deploy as deployment
    from pilotlight_cli.gcp.record_function import deploy_records

    chosen = selected(model, lock)
    google = _connect(settings or chosen.gcp_settings, environment)
    deploying, name = (deployment.deploy, "gcp") if function == "predict" else (deploy_records, "gcp-records")
    with _operator(google.settings.plan, lambda question: yes or in_ci(os.environ) or _confirm(question)) as operator:
        done = deploying(google, operator, chosen.lock, out or chosen.built(name), source)
    if json:
        console.print_json(
            {
                "environment": environment,
                "service": done.service,
                "url": done.uri,
                "revision": done.revision,
                "before": done.before or None,
                "release": done.release,
                "model": {"name": done.model.name, "version": done.model.version},
            }
        )
        return
    before = f" (before: {done.before})" if done.before else " (first deployment, no traffic to shift)"
    console.output().print(
        f"{done.revision} with {done.model.name}:{done.model.version} has all traffic of {done.service}{before}",
        soft_wrap=True,
    )
    if function == "records":
        return
    console.output().print(f"URL: {done.uri}", soft_wrap=True)
    console.output().print(f"Call it: {calling_command(environment, 'gcp', model)}", soft_wrap=True)


def rollout(
    *,
    environment: Environment,
    plan: Annotated[bool, typer.Option("--plan", help="Only show the current traffic and the steps.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Route all traffic back to the old revision.")] = False,
    model: ModelName = "",
    lock: LockPath = None,
    settings: Settings = None,
    json: AsJson = False,
) -> None:
    """Resume an unfinished rollout, or roll it back. Without one, change nothing."""
    from pilotlight_cli.gcp import views
    from pilotlight_cli.gcp.deploy import rollout_of, service_of
    from pilotlight_cli.gcp.golden import expected_of

    if plan and rollback:
        raise typer.BadParameter("--plan and --rollback are mutually exclusive")
    chosen = selected(model, lock)
    google = _connect(settings or chosen.gcp_settings, environment)
    service = service_of(google)
    if plan or service is None:
        if json:
            console.print_json(views.document(google.settings.plan, service))
            return
        console.output().print(views.status_text(service), soft_wrap=True)
        if plan:
            console.output().print(views.plan_table(google.settings.plan, service))
        return
    with _operator(google.settings.plan, _confirm) as operator:
        moving = rollout_of(google, operator, service.name, None if rollback else expected_of(chosen.lock))
        outcome = moving.roll_back() if rollback else moving.run()
    if json:
        console.print_json({"service": service.name, "outcome": outcome.kind, "revision": outcome.revision or None})
    else:
        console.output().print(_outcome_text(outcome, service.name), soft_wrap=True)


def rollback(
    environment: Environment,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation (also skipped when CI is set).")] = False,
    model: ModelName = "",
    json: AsJson = False,
) -> None:
    """Give the revision before all traffic again, during a rollout and after it."""
    from pilotlight_cli.gcp import GcpError
    from pilotlight_cli.gcp.deploy import rollout_of, service_of

    google = _connect(selected(model, None).gcp_settings, environment)
    service = service_of(google)
    if service is None:
        raise GcpError(
            f"the function {google.settings.function} is not deployed, so there is no revision to go back to"
        )
    with _operator(google.settings.plan, _confirm) as operator:
        outcome = rollout_of(google, operator, service.name, None).put_back(
            lambda question: yes or in_ci(os.environ) or _confirm(question)
        )
    if json:
        console.print_json({"service": service.name, "revision": outcome.revision})
        return
    console.output().print(_outcome_text(outcome, service.name), soft_wrap=True)
    console.note("the pin is as before: 'pilotlight rollback' and a commit keep the next deployment from undoing this")


def _outcome_text(outcome: Outcome, service: str) -> str:
    revision = outcome.revision or "no single revision"
    return {
        "done": f"{revision} has all traffic of {service}",
        "back": f"{revision} has all traffic of {service} again",
        "idle": f"no rollout is in progress; {revision} has all traffic of {service}",
    }[outcome.kind]


def _connect(settings: Path, environment: str) -> Google:
    from pilotlight_cli.gcp.platform import connect
    from pilotlight_cli.gcp.settings import read_settings

    return connect(read_settings(settings, environment), os.environ)


@contextmanager
def _operator(plan: Plan, confirm: Callable[[str], bool]) -> Iterator[Operator]:
    """Yield the person at the terminal; Ctrl-C and SIGTERM interrupt the work, once."""
    from pilotlight_cli.gcp.deploy import Operator
    from pilotlight_cli.gcp.views import watching
    from pilotlight_cli.local.command import interrupted_by_signals

    try:
        with interrupted_by_signals(), watching(plan) as on_step:
            yield Operator(console.say, confirm, on_step, lambda: datetime.now(UTC))
    except KeyboardInterrupt:
        console.error("interrupted; 'pilotlight rollout gcp --plan' shows the current traffic")
        raise typer.Exit(1) from None


def _confirm(question: str) -> bool:
    return typer.confirm(question, err=True)
