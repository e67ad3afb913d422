"""The command `pilotlight`. Exit codes: 0 success, 1 failure, 2 wrong usage."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import pilotlight
from pilotlight.errors import PilotlightError
from pilotlight.files.sources import BatchUsageError
from pilotlight_cli import console
from pilotlight_cli.aws import AwsUsageError
from pilotlight_cli.commands import (
    aws,
    batching,
    calling,
    collecting,
    comparing,
    converting,
    drifting,
    experimenting,
    gcp,
    inspecting,
    keys,
    models,
    optimizing,
    places,
    projects,
    publishing,
    releases,
    rendering,
    sam,
    serving,
    signing,
    status,
)
from pilotlight_cli.gcp import GcpUsageError
from pilotlight_cli.project import ProjectUsageError
from pilotlight_cli.registry.manifest import NameRefused
from pilotlight_cli.rendering import RenderUsageError
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.stores import StoreUrlError


class _Commands(TyperGroup):
    """Turns errors into a line on stderr and an exit code, in this one place."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - the type is private to typer
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (
            AwsUsageError,
            BatchUsageError,
            GcpUsageError,
            NameRefused,
            ProjectUsageError,
            RenderUsageError,
            StoreUrlError,
            UsageError,
        ) as error:
            console.error(str(error))
            raise typer.Exit(2) from None
        except PilotlightError as error:
            console.error(str(error))
            raise typer.Exit(1) from None
        except OSError as error:
            console.error(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.output().print(pilotlight.__version__)
        raise typer.Exit


def _enter(folder: Path | None) -> None:
    if folder:
        os.chdir(folder)


@app.callback()
def _pilotlight(
    _folder: Annotated[
        Path | None,
        typer.Option(
            "-C",
            metavar="DIR",
            help="Run as if started in this folder.",
            exists=True,
            file_okay=False,
            is_eager=True,
            callback=_enter,
            show_default=False,
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Publish a trained model, pin it, and serve it on AWS Lambda or Google Cloud Functions."""


PROJECT = "Project"
MODEL = "Model file"
STORE = "Model store"
RELEASE = "Release"
DEPLOYMENT = "Deployment"
STACK = "AWS stack"

deploy = typer.Typer(no_args_is_help=True, help="Deploy this working copy to a cloud.")
deploy.command("aws")(aws.deploy)
deploy.command("gcp")(gcp.deploy)

status_of = typer.Typer(invoke_without_command=True, help="Show what is pinned, stored and served.")
status_of.callback()(status.status)
status_of.command("aws")(places.aws)
status_of.command("gcp")(places.gcp)

rollback = typer.Typer(invoke_without_command=True, help="Move the pin back to the one before, or what serves.")
rollback.callback()(releases.rollback)
rollback.command("aws")(aws.rollback)
rollback.command("gcp")(gcp.rollback)

logs = typer.Typer(no_args_is_help=True, help="Print the records of requests of a deployed function.")
logs.command("aws")(places.logs_aws)
logs.command("gcp")(places.logs_gcp)

render = typer.Typer(no_args_is_help=True, help="Write the files by which another platform runs the pinned model.")
render.command("k8s")(rendering.k8s)

export = typer.Typer(no_args_is_help=True, help="Write the pinned model in a form that needs no server.")
export.command("web")(rendering.web)

rollout = typer.Typer(no_args_is_help=True, help="Resume or roll back an unfinished rollout.")
rollout.command("gcp")(gcp.rollout)

prune = typer.Typer(no_args_is_help=True, help="Delete old versions of a deployed function.")
prune.command("aws")(aws.prune)

app.command("init", rich_help_panel=PROJECT)(projects.init)
app.command("add", rich_help_panel=PROJECT)(projects.add)
app.add_typer(status_of, name="status", rich_help_panel=PROJECT)
app.command("summary", rich_help_panel=PROJECT)(status.summary)
app.command("upgrade", rich_help_panel=PROJECT)(status.upgrade)
app.command("inspect", rich_help_panel=MODEL)(inspecting.inspect)
app.command("repair", rich_help_panel=MODEL)(inspecting.repair)
app.command("convert", rich_help_panel=MODEL)(converting.convert)
app.command("optimize", rich_help_panel=MODEL)(optimizing.optimize)
app.command("diff", rich_help_panel=MODEL)(comparing.diff)
app.command("publish", rich_help_panel=STORE)(publishing.publish)
app.command("sign", rich_help_panel=STORE)(signing.sign)
app.command("list", rich_help_panel=STORE)(models.list_)
app.command("show", rich_help_panel=STORE)(models.show)
app.command("alias", rich_help_panel=STORE)(models.alias)
app.command("copy", rich_help_panel=STORE)(models.copy)
app.command("gc", rich_help_panel=STORE)(collecting.gc)
app.command("pin", rich_help_panel=RELEASE)(releases.pin)
app.add_typer(rollback, name="rollback", rich_help_panel=RELEASE)
app.add_typer(experimenting.app, name="experiment", rich_help_panel=RELEASE)
app.command("verify", rich_help_panel=RELEASE)(serving.verify)
app.command("serve", rich_help_panel=RELEASE)(serving.serve)
app.command("dev", rich_help_panel=RELEASE)(serving.dev)
app.command("consume", rich_help_panel=RELEASE)(serving.consume)
app.command("batch", rich_help_panel=RELEASE)(batching.batch)
app.command("drift", rich_help_panel=RELEASE)(drifting.drift)
app.command("build", rich_help_panel=RELEASE)(releases.build)
app.add_typer(render, name="render", rich_help_panel=RELEASE)
app.add_typer(export, name="export", rich_help_panel=RELEASE)
app.add_typer(deploy, name="deploy", rich_help_panel=DEPLOYMENT)
app.add_typer(rollout, name="rollout", rich_help_panel=DEPLOYMENT)
app.add_typer(prune, name="prune", rich_help_panel=DEPLOYMENT)
app.add_typer(logs, name="logs", rich_help_panel=DEPLOYMENT)
app.command("call", rich_help_panel=DEPLOYMENT)(calling.call)
app.add_typer(keys.app, name="keys", rich_help_panel=STACK)
app.add_typer(sam.app, name="sam", rich_help_panel=STACK)

if __name__ == "__main__":
    app()
