"""Commands that run the function with `sam local`: invoke, start-api."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from pilotlight_cli import console
from pilotlight_cli.commands.options import ModelName
from pilotlight_cli.project.folders import find_project

_POLL_SECONDS = 0.2

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="The model store (default: an embedded one with the pinned version).",
        show_default=False,
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter", metavar="NAME=VALUE", help="A parameter of template.yaml; may be repeated.", show_default=False
    ),
]

app = typer.Typer(no_args_is_help=True, help="Run the built function with `sam local`, in Docker.")


@app.command("invoke")
def invoke(
    event: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="The event, such as those in events/; - is standard input (default: the first golden sample).",
            show_default=False,
        ),
    ] = None,
    store: Store = None,
    parameter: Parameters = None,
    model: ModelName = "",
) -> None:
    """Build the function, send it one event, and print its response."""
    from pilotlight_cli.aws import sam_local

    chosen = find_project().model(model)
    content = sam_local.read_event(event, chosen.lock)
    sam_local.check_parameters(chosen.template, parameter or ())
    console.say("Building the function with SAM")
    with sam_local.prepared(chosen, store, os.environ) as run:
        code = sam_local.invoke(run, content, parameter or ())
    raise typer.Exit(code)


@app.command("start-api")
def start_api(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The port to listen on; 0 for any free port.")
    ] = 3000,
    store: Store = None,
    parameter: Parameters = None,
    model: ModelName = "",
) -> None:
    """Build the function and serve it with SAM's local API, which authorizes every request."""
    from pilotlight_cli.aws.sam_local import api, check_parameters, prepared
    from pilotlight_cli.local.command import interrupted_by_signals, print_log
    from pilotlight_cli.local.process import free_port, listen

    chosen = find_project().model(model)
    check_parameters(chosen.template, parameter or ())
    port = port or free_port()
    listen(port).close()  # fail before the slow steps
    try:
        with interrupted_by_signals():
            console.say("Building the function with SAM")
            with prepared(chosen, store, os.environ) as run, api(run, port, parameter or ()) as (child, log):
                console.output().print(f"SAM's local API answers on http://127.0.0.1:{port}", soft_wrap=True)
                console.say("Press Ctrl-C to stop.")
                printed = 0
                while child.exit_code is None:
                    printed = print_log(log, printed)
                    time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        console.say("Stopped.")
    else:
        console.error(f"'sam local start-api' failed with exit code {child.exit_code}:\n{log.tail()}")
        raise typer.Exit(1)
