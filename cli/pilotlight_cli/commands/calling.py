"""The command that sends a request to a deployed function: call."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import Cloud, ModelName
from pilotlight_cli.project.folders import find_project

if TYPE_CHECKING:
    from pilotlight_cli.calling import Endpoint
    from pilotlight_cli.project.folders import ModelFolder


def call(
    document: Annotated[
        str,
        typer.Argument(
            metavar="[DOCUMENT|FILE|-]",
            help="JSON to predict: itself, a file, or - for standard input (default: the first golden sample).",
            show_default=False,
        ),
    ] = "",
    *,
    environment: Annotated[str, typer.Option("--env", metavar="ENV", help="Environment to call.", show_default=False)],
    cloud: Annotated[
        Cloud | None,
        typer.Option("--cloud", help="Cloud to call, if the environment is on both.", show_default=False),
    ] = None,
    path: Annotated[
        str, typer.Option("--path", metavar="PATH", help="Route to call (default: /predict).", show_default=False)
    ] = "",
    shown: Annotated[
        Literal["curl", "python"] | None,
        typer.Option("--print", help="Print a command or a program that sends the request.", show_default=False),
    ] = None,
    model: ModelName = "",
) -> None:
    """Send a prediction to the deployed function, signed as it demands, and print the answer."""
    from pilotlight_cli.calling import PREDICT, as_curl, as_python, first_sample, read_document, send

    project = find_project()
    chosen = project.model(model)
    place = cloud or _cloud_of(environment, chosen, project.clouds)
    if document:
        body = read_document(document)
    else:
        sample = first_sample(chosen)
        body, path = json.dumps(sample.body, ensure_ascii=False), path or sample.path
    path = path or PREDICT
    with console.doing(f"Finding {environment} on {place}"):
        endpoint = _endpoint(environment, place, chosen, sends=shown is None)
    match shown:
        case "curl":
            text = as_curl(endpoint, path, body)
        case "python":
            text = as_python(endpoint, path, body)
        case _:
            text = send(endpoint, path, body)
    console.output().print(text, soft_wrap=True)


def calling_command(environment: str, cloud: str, model: str) -> str:
    """Return the command that calls what was deployed."""
    return f"pilotlight call --env {environment} --cloud {cloud}{model and f' --model {model}'}"


def _cloud_of(environment: str, model: ModelFolder, clouds: tuple[str, ...]) -> str:
    """Return the only cloud that has an environment of this name. Raise BadParameter."""
    from pilotlight_cli.aws import environments
    from pilotlight_cli.gcp import settings

    names = {
        "aws": lambda: environments.environment_names(model.environments),
        "gcp": lambda: settings.environment_names(model.gcp_settings),
    }
    found = [cloud for cloud in clouds if environment in names[cloud]()]
    if len(found) == 1:
        return found[0]
    raise typer.BadParameter(
        f"both clouds have {environment}; add --cloud aws or --cloud gcp"
        if found
        else f"no environment {environment!r} of this project; samconfig.toml and gcp.toml name them",
        param_hint="--env",
    )


def _endpoint(environment: str, cloud: str, model: ModelFolder, *, sends: bool) -> Endpoint:
    if cloud == "aws":
        from pilotlight_cli.aws import endpoint as aws
        from pilotlight_cli.aws.environments import read_environment

        return aws.endpoint(read_environment(environment, model.environments), os.environ, sends=sends)
    from pilotlight_cli.gcp import endpoint as gcp
    from pilotlight_cli.gcp.platform import connect
    from pilotlight_cli.gcp.settings import read_settings

    return gcp.endpoint(connect(read_settings(model.gcp_settings, environment), os.environ))
