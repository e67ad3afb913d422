"""Commands about one environment on a cloud: status and logs, each of aws and gcp."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import AsJson, FunctionName, ModelName
from pilotlight_cli.commands.status import place_document
from pilotlight_cli.project.folders import find_project

if TYPE_CHECKING:
    from pilotlight_cli.project.folders import ModelFolder
    from pilotlight_cli.project.status import Deployment, Details
    from pilotlight_cli.records import Read

_POLL_SECONDS = 2.0  # between two looks at a log

Environment = Annotated[str, typer.Option("--env", metavar="ENV", help="Environment to look at.", show_default=False)]


def aws(environment: Environment, model: ModelName = "", json: AsJson = False) -> None:
    """Show what an environment on AWS serves: version, pin, release in progress, commit, alarms, URL."""
    from pilotlight_cli.aws.environments import read_environment
    from pilotlight_cli.aws.serving import read_deployment, read_details

    chosen = find_project().model(model)
    pinned, lock = _pin(chosen)
    with console.doing(f"Reading {environment} on AWS"):
        found = _serving(read_deployment(chosen.environments, environment, lock))
        details = read_details(read_environment(environment, chosen.environments), found.shares)
    _show(chosen, found, details, pinned, json=json)


def gcp(environment: Environment, model: ModelName = "", json: AsJson = False) -> None:
    """Show what an environment on Google Cloud serves: version, pin, release in progress, commit, alarms, URL."""
    from pilotlight_cli.gcp.platform import connect
    from pilotlight_cli.gcp.serving import read_deployment, read_details
    from pilotlight_cli.gcp.settings import read_settings

    chosen = find_project().model(model)
    pinned, lock = _pin(chosen)
    with console.doing(f"Reading {environment} on Google Cloud"):
        found = _serving(read_deployment(chosen.gcp_settings, environment, lock))
        details = read_details(connect(read_settings(chosen.gcp_settings, environment), os.environ))
    _show(chosen, found, details, pinned, json=json)


Follow = Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C.")]
Since = Annotated[str, typer.Option("--since", metavar="AGE", help="How far back: 30s, 10m, 2h, 1d.")]
Search = Annotated[
    str, typer.Option("--search", metavar="TEXT", help="Only records with this text.", show_default=False)
]


def logs_aws(
    *,
    environment: Environment,
    function: FunctionName = "predict",
    follow: Follow = False,
    since: Since = "10m",
    search: Search = "",
    model: ModelName = "",
) -> None:
    """Print the function's records of requests on AWS, one a line, with cold starts marked."""
    from pilotlight_cli.aws.environments import read_environment
    from pilotlight_cli.aws.records import reader

    chosen = find_project().model(model)
    read = partial(reader, function=function)
    _print_records(lambda: read(read_environment(environment, chosen.environments)), since, search, follow=follow)


def logs_gcp(
    *,
    environment: Environment,
    function: FunctionName = "predict",
    follow: Follow = False,
    since: Since = "10m",
    search: Search = "",
    model: ModelName = "",
) -> None:
    """Print the function's records of requests on Google Cloud, one a line, with cold starts marked."""
    from pilotlight_cli.gcp.platform import connect
    from pilotlight_cli.gcp.records import reader
    from pilotlight_cli.gcp.settings import read_settings

    chosen = find_project().model(model)
    settings = read_settings(chosen.gcp_settings, environment)
    _print_records(lambda: reader(connect(settings, os.environ), function), since, search, follow=follow)


def _print_records(reader: Callable[[], Read], since: str, search: str, *, follow: bool) -> None:
    from pilotlight_cli.local.command import interrupted_by_signals
    from pilotlight_cli.records import Lines, new_entries, parse_since

    begin, lines = parse_since(since, datetime.now(UTC)), Lines(search)
    shown, sleep = console.output(), partial(time.sleep, _POLL_SECONDS) if follow else None
    with suppress(KeyboardInterrupt), interrupted_by_signals():
        read = reader()
        shown.print(lines.header, soft_wrap=True)
        for line in filter(None, map(lines.of, new_entries(read, begin, sleep))):
            shown.print(line, soft_wrap=True)


def _serving(found: Deployment) -> Deployment:
    """Return a deployment that was read, or end with the reason why it was not."""
    if found.reason:
        console.error(found.reason)
        raise typer.Exit(2 if found.state == "not set up" else 1)
    return found


def _pin(model: ModelFolder) -> tuple[str, str]:
    """Return what a model pins as NAME:VERSION, and the lock's SHA-256; both empty without a lock."""
    from pilotlight_cli.project.status import read_pin

    pin, problem = read_pin(model)
    if problem:
        console.warning(problem)
    return (f"{pin.model.name}:{pin.model.version}", pin.lock) if pin else ("", "")


def _show(model: ModelFolder, found: Deployment, details: Details, pinned: str, *, json: bool) -> None:
    from pilotlight_cli.project.git import commit_of

    shares = [(share, commit_of(model.lock, share.lock)) for share in found.shares]
    if json:
        document = place_document(found)
        for entry, (_, commit) in zip(document["traffic"], shares, strict=True):
            entry["commit"] = commit or None
        document |= {
            "pinned": pinned or None,
            "release_in_progress": details.release or None,
            "alarms": dict(details.alarms) if details.alarms is not None else None,
            "alarms_problem": details.alarms_problem or None,
            "url": details.url or None,
        }
        console.print_json(document)
        return
    rows = [("environment", f"{found.environment} on {found.cloud}: {found.name}"), ("pinned", pinned or "nothing")]
    for share, commit in shares:
        facts = [f"{share.percent} %", share.model or "an older release", share.version]
        facts += ["this pin"] if share.is_pin else []
        rows.append(("serves", ", ".join(facts + ([f"commit {commit}"] if commit else []))))
    if not shares:
        rows.append(("serves", found.state))
    rows.append(("release in progress", details.release or "none"))
    rows.append(("alarms", details.alarms_problem or _alarms_text(details.alarms or {})))
    rows.append(("URL", details.url))
    console.output().print(console.table(("", ""), rows))


def _alarms_text(alarms: Mapping[str, str]) -> str:
    ringing, disabled = ([name for name, state in alarms.items() if state == one] for one in ("ALARM", "DISABLED"))
    text = f"ALARM: {', '.join(ringing)}" if ringing else f"none of {len(alarms)} rings"
    return f"{text}; {len(disabled)} disabled" if disabled else text
