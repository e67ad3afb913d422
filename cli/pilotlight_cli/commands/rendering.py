"""Commands that write files for other platforms: render k8s, export web."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pilotlight.model.lock import load_lock
from pilotlight_cli import console
from pilotlight_cli.commands.options import LockPath, ModelName, StoreUrl
from pilotlight_cli.project.folders import selected, shown
from pilotlight_cli.stores import open_store


def k8s(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="Image of the model, with its tag or digest.", show_default=False)
    ],
    *,
    host: Annotated[str, typer.Option("--host", help="Domain name of the model's URL.", show_default=False)],
    store: StoreUrl = "",
    model: ModelName = "",
    lock: LockPath = None,
    name: Annotated[
        str, typer.Option("--name", help="Name of the objects (default: the model's).", show_default=False)
    ] = "",
    cpu: Annotated[str, typer.Option("--cpu", help="Processors of a pod.")] = "1",
    memory: Annotated[
        str, typer.Option("--memory", help="Memory of a pod (default: by the model's size).", show_default=False)
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR",
            help="Folder for the files (default: kubernetes beside the lock).",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that differ.")] = False,
) -> None:
    """Write Kubernetes manifests of the pinned model: for kustomize, Gateway API or Istio canaries, and KServe."""
    from pilotlight_cli.rendering.kubernetes import Release, render, write

    chosen = selected(model, lock)
    files = render(Release(name or chosen.name, image, store, host, cpu, memory), load_lock(chosen.lock).model)
    folder = output or chosen.lock.parent / "kubernetes"
    count = write(files, folder, force=force)
    console.output().print(f"{shown(folder)}: {len(files)} files, {count} of them written", soft_wrap=True)
    console.output().print(f"Look at them with: kubectl kustomize {shown(folder)}/overlays/staging", soft_wrap=True)


def web(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder for the page.", show_default=False)],
    *,
    runtime: Annotated[
        Path,
        typer.Option(
            "--runtime",
            metavar="DIR",
            help="Folder of the npm package onnxruntime-web, in the lock's version of onnxruntime.",
            show_default=False,
        ),
    ],
    store: StoreUrl = "",
    model: ModelName = "",
    lock: LockPath = None,
) -> None:
    """Write a page that runs the pinned model in a browser, with its files, for any static web server."""
    from pilotlight_cli.exporting.web import export
    from pilotlight_cli.registry.availability import project_store

    path = selected(model, lock).lock
    files = export(path, open_store(store or project_store(path.parent)), runtime, folder)
    size = console.bytes_text(sum(file.stat().st_size for file in files))
    console.output().print(f"{folder}: {len(files)} files, {size}", soft_wrap=True)
    console.output().print(f"Try it with: python3 -m http.server --directory {folder}", soft_wrap=True)
