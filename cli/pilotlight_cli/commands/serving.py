"""Commands that serve a model on this machine: verify, serve, dev."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pilotlight_cli import console
from pilotlight_cli.commands import views
from pilotlight_cli.commands.options import AsJson, Form, LockPath, ModelName, StoreUrl
from pilotlight_cli.project.folders import CLOUDS, clouds_of, project_above, selected
from pilotlight_cli.registry.manifest import check_name

ServingCloud = Annotated[
    Form | None,
    typer.Option(
        "--cloud",
        help="Cloud whose runtime to use, or container (default: the store's cloud, or one of the project).",
        show_default=False,
    ),
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 selects a free port.")]


def verify(
    store: StoreUrl = "",
    model: ModelName = "",
    lock: LockPath = None,
    cloud: ServingCloud = None,
    json: AsJson = False,
) -> None:
    """Serve the pinned model on this machine and check its digests and its golden samples."""
    from pilotlight_cli.local.verify import usual_cloud
    from pilotlight_cli.local.verify import verify as check

    path = selected(model, lock).lock
    console.say(f"Verifying {path}: serving the pinned model and sending the golden samples")
    report = check(path, store, cloud or usual_cloud(store, clouds_of(lock)))
    if json:
        console.print_json(
            {
                "ok": report.ok,
                "cloud": report.cloud,
                "name": report.model_name,
                "version": report.model_version,
                "checks": [{"name": item.name, "ok": item.ok, "detail": item.detail} for item in report.checks],
            }
        )
    else:
        console.output().print(views.checks(report))
        if report.ok:
            console.output().print(f"\n{report.model_name}:{report.model_version} passes all checks")
    if not report.ok:
        failed = [item.name for item in report.checks if not item.ok]
        console.error(f"{report.model_name}:{report.model_version} fails: {', '.join(failed)}")
        raise typer.Exit(1)


def serve(
    *,
    cloud: ServingCloud = None,
    model: ModelName = "",
    lock: LockPath = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URL",
            help="Model store (default: the project's; a folder is copied to an embedded one of the cloud's kind).",
            show_default=False,
        ),
    ] = None,
    port: Port = 8080,
    grpc_port: Annotated[
        int | None,
        typer.Option(
            "--grpc-port", min=1, max=65535, help="Port for gRPC, with --cloud container.", show_default=False
        ),
    ] = None,
    compare: Annotated[
        str,
        typer.Option(
            "--compare",
            metavar="NAME:VERSION",
            help="Serve this version of the store too: the page shows both answers.",
            show_default=False,
        ),
    ] = "",
    once: Annotated[bool, typer.Option("--once", help="Exit after the first response.")] = False,
) -> None:
    """Serve the pinned model on this machine in the cloud's own runtime."""
    from pilotlight_cli.local.command import run_serve
    from pilotlight_cli.local.verify import usual_cloud
    from pilotlight_cli.registry.availability import project_store
    from pilotlight_cli.staging.sources import CONTAINER

    path = selected(model, lock).lock
    served = cloud or usual_cloud(store or project_store(path.parent), clouds_of(lock))
    if grpc_port is not None and served != CONTAINER:
        raise typer.BadParameter(f"--cloud {served} has no gRPC; use --cloud {CONTAINER}", param_hint="--grpc-port")
    run_serve(served, path, store, port, compare, grpc_port=grpc_port, once=once)


def consume(
    model: ModelName = "",
    lock: LockPath = None,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="URL", help="Model store (default: the project's).", show_default=False),
    ] = None,
) -> None:
    """Score Kafka topics with the pinned model on this machine; PILOTLIGHT_KAFKA_ variables name them."""
    from pilotlight_cli.local.kafka_runtime import run_consume

    run_consume(selected(model, lock).lock, store)


def dev(
    *,
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL_FILE",
            exists=True,
            dir_okay=False,
            help="Model file, which need not be published (default: what the project pins).",
            show_default=False,
        ),
    ] = None,
    cloud: ServingCloud = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Model of the project, if it has several; with MODEL_FILE, the name that it answers by.",
            show_default=False,
        ),
    ] = "",
    port: Port = 8080,
) -> None:
    """Serve a model on this machine and, at each save, switch to what changed."""
    from pilotlight_cli.developing.command import run_dev
    from pilotlight_cli.developing.subjects import ModelFile, PinnedModel, name_of
    from pilotlight_cli.local.verify import usual_cloud
    from pilotlight_cli.registry.availability import project_store

    if path is None:
        lock = selected(model).lock
        run_dev(cloud or usual_cloud(project_store(lock.parent), clouds_of(None)), PinnedModel(lock), port)
        return
    clouds = project.clouds if (project := project_above(Path())) else CLOUDS
    subject = ModelFile(path, check_name(model or name_of(path), "a model's name"))
    run_dev(cloud or usual_cloud("file:", clouds), subject, port)
