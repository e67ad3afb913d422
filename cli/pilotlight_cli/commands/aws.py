"""Commands for the stack on AWS: deploy, rollback, prune."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.calling import calling_command
from pilotlight_cli.commands.options import AsJson, BaseImage, FunctionName, ModelName, check_base, in_ci
from pilotlight_cli.project.folders import find_project

if TYPE_CHECKING:
    from pilotlight_cli.aws.deploy import Deployed
    from pilotlight_cli.aws.environments import Environment


def deploy(
    *,
    environment: Annotated[
        str,
        typer.Option("--env", metavar="ENV", help="The environment, a table in samconfig.toml.", show_default=False),
    ],
    source: Annotated[
        str,
        typer.Option("--from", metavar="URL", help="Copy the pinned version from this store if the target's lacks it."),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation (also skipped when CI is set).")] = False,
    past_alarms: Annotated[
        bool, typer.Option("--past-alarms", help="Deploy a fix although the alarm of the release that serves rings.")
    ] = False,
    image: Annotated[
        str,
        typer.Option(
            "--image", metavar="REPOSITORY", help="Deploy the function as a container image in this repository of ECR."
        ),
    ] = "",
    base: BaseImage = "",
    model: ModelName = "",
    json: AsJson = False,
) -> None:
    """Deploy this working copy, and check that the function serves what was built."""
    from pilotlight_cli.aws import deploy as deployment
    from pilotlight_cli.aws.calls import client
    from pilotlight_cli.aws.environments import read_environment
    from pilotlight_cli.aws.sam import Sam

    check_base(image, base)
    chosen = find_project().model(model)
    target = read_environment(environment, chosen.environments)
    with _acting_in(target), _interruptible(target.stack):
        account = deployment.Account(
            model=chosen,
            cloudformation=client("cloudformation"),
            functions=client("lambda"),
            cloudwatch=client("cloudwatch"),
            sam=Sam(chosen, target.name, os.environ, repository=image, base=base),
            say=console.say,
            confirm=lambda question: yes or in_ci(os.environ) or _ask(question),
            past_alarms=past_alarms,
        )
        done = deployment.deploy(target, account, source)
    if json:
        console.print_json(_document(done))
    else:
        shown = console.output()
        shown.print(deployed_text(done), soft_wrap=True)
        shown.print(f"Call it: {calling_command(environment, 'aws', model)}", soft_wrap=True)


def prune(
    *,
    environment: Annotated[
        str, typer.Option("--env", metavar="ENV", help="The environment, a table in samconfig.toml.")
    ] = "",
    function: Annotated[str, typer.Option("--function", metavar="NAME", help="The function, instead of --env.")] = "",
    keep: Annotated[int, typer.Option("--keep", min=1, help="Number of newest versions to keep.")] = 5,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be deleted, and delete nothing.")
    ] = False,
    model: ModelName = "",
    json: AsJson = False,
) -> None:
    """Delete old versions of the function, never one that an alias routes traffic to."""
    from pilotlight_cli.aws import prune as pruning
    from pilotlight_cli.aws.calls import client
    from pilotlight_cli.aws.deploy import function_name
    from pilotlight_cli.aws.environments import read_environment
    from pilotlight_cli.aws.stacks import check_deployable, read_stack

    if bool(environment) == bool(function):
        raise typer.BadParameter("expected either --env or --function")
    target = read_environment(environment, find_project().model(model).environments) if environment else None
    with _acting_in(target):
        if target is not None:
            stack = read_stack(client("cloudformation"), target.stack)
            if stack is not None:  # a rollback may need the old versions
                check_deployable(stack)
            function = function_name(target)
        functions = client("lambda")
        selection = pruning.select(functions, function, keep)
        if not dry_run:
            pruning.prune(functions, function, selection, console.say)
    if json:
        kept = [*selection.newest, *selection.aliased]
        document = {"function": function, "deleted": list(selection.deleted), "kept": kept, "dry_run": dry_run}
        console.print_json(document)
    else:
        console.output().print(pruning.prune_text(function, selection, dry_run=dry_run), soft_wrap=True)


def rollback(
    environment: Annotated[str, typer.Option("--env", metavar="ENV", help="The environment.", show_default=False)],
    function: FunctionName = "predict",
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation (also skipped when CI is set).")] = False,
    model: ModelName = "",
    json: AsJson = False,
) -> None:
    """Give the version before all traffic again, during a release and after it."""
    from pilotlight_cli.aws.calls import client
    from pilotlight_cli.aws.environments import read_environment
    from pilotlight_cli.aws.rollback import Account, roll_back

    target = read_environment(environment, find_project().model(model).environments)
    with _acting_in(target):
        account = Account(
            cloudformation=client("cloudformation"),
            codedeploy=client("codedeploy"),
            functions=client("lambda"),
            confirm=lambda question: yes or in_ci(os.environ) or _ask(question),
        )
        done = roll_back(target, account, function)
    if json:
        document = {"stack": target.stack, "version": done.version, "replaced": done.replaced, "stopped": done.stopped}
        console.print_json(document)
        return
    what = "the release was stopped, and " if done.stopped else ""
    name = target.stack if function == "predict" else f"{target.stack}-{function}"
    console.output().print(f"{what}version {done.version} of {name} has all traffic again", soft_wrap=True)
    if not done.stopped:
        console.note(
            f"CloudFormation still takes version {done.replaced} for live: run 'pilotlight rollback', commit, and "
            "deploy with DeploymentType=AllAtOnce before anything else"
        )


@contextmanager
def _interruptible(stack: str) -> Iterator[None]:
    """End a deployment on Ctrl-C or SIGTERM with a message on what goes on without it."""
    from pilotlight_cli.local.command import interrupted_by_signals

    try:
        with interrupted_by_signals():
            yield
    except KeyboardInterrupt:
        console.error(
            f"interrupted; a started update of {stack} continues without this command, and shifts its traffic: "
            f"'aws cloudformation describe-stacks --stack-name {stack}' shows its status. Deploy again afterwards to "
            "check the result"
        )
        raise typer.Exit(1) from None


@contextmanager
def _acting_in(environment: Environment | None) -> Iterator[None]:
    """Make all calls of AWS in the environment's region."""
    from pilotlight_cli.local.stores import acting_in, affects_store

    region = environment.region if environment else ""
    kept = {name: value for name, value in os.environ.items() if value and affects_store(name)}
    with acting_in(kept | (dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), region) if region else {})):
        yield


def _ask(question: str) -> bool:
    from pilotlight_cli.aws import AwsUsageError

    if not sys.stdin.isatty():
        raise AwsUsageError(f"{question} This is not a terminal: add --yes, or YES=1 with make")
    return typer.confirm(question, err=True)


def deployed_text(done: Deployed) -> str:
    """Return what a deployment says at its end: what serves now, and the stack's addresses."""
    model, name, served = f"{done.model.name}:{done.model.version}", done.stack.name, done.served
    what = f"{model}, as version {served.version} with the release {served.release[:12]}"
    lines = [f"{name} now serves {what}" if done.changed else f"No change: {name} still serves {what}"]
    outputs = done.stack.outputs
    return "\n".join(lines + [f"{key}: {outputs[key]}" for key in ("ApiUrl", "Dashboard") if key in outputs])


def _document(done: Deployed) -> dict[str, object]:
    return {
        "stack": done.stack.name,
        "changed": done.changed,
        "model": {"name": done.model.name, "version": done.model.version},
        "version": done.served.version,
        "release": done.served.release,
        "lock": done.served.lock,
        "outputs": dict(done.stack.outputs),
    }
