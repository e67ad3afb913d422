"""`pilotlight export web`: a folder whose page runs the pinned model in a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pilotlight.errors import PilotlightError
from pilotlight.model.golden import read_golden
from pilotlight.model.lock import Description, load_lock
from pilotlight_cli.local.page import page
from pilotlight_cli.registry.golden_file import stored_golden
from pilotlight_cli.registry.publish import download
from pilotlight_cli.stores import Store

# What a page with one thread of WebAssembly needs of the package.
_RUNTIME: Final = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")

# What JavaScript has no arrays of.
_LACKS: Final = ("FP16", "BF16")


class ExportRefused(PilotlightError):
    """The model cannot run in a browser, or the given runtime is not the lock's; nothing was written."""


def export(lock: Path, store: Store, runtime: Path, folder: Path) -> Sequence[Path]:
    """Write the page, the model's verified files and onnxruntime-web to a new folder; return their paths.

    `runtime` is the folder of the npm package onnxruntime-web, of the version that the lock names. Raise ExportRefused,
    FormatError, DigestMismatch or StoreError.
    """
    model = load_lock(lock).model
    _check_model(model)
    _check_runtime(model, runtime)
    if folder.exists() and any(folder.iterdir()):
        raise ExportRefused(f"{folder} is not empty; name a new folder")
    document = page(model, read_golden(stored_golden(store, model)), web=True)
    (folder / "ort").mkdir(parents=True, exist_ok=True)
    for name in _RUNTIME:
        shutil.copyfile(runtime / "dist" / name, folder / "ort" / name)
    for file in model.files:
        download(store, model.key(file.name), file, folder, lambda _: None)
    (folder / "index.html").write_bytes(document)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _check_model(model: Description) -> None:
    name, signature = f"{model.name}:{model.version}", model.signature
    if model.format != "onnx":
        raise ExportRefused(f"{name} is in the format {model.format}; a browser runs ONNX alone: publish it as ONNX")
    if not signature.takes_features:
        raise ExportRefused(f"{name} has inputs of plain tensors; expected features, which the page has a form for")
    ends = {tensor.datatype.name for tensor in signature.inputs} | {
        tensor.datatype.name for tensor in signature.outputs
    }
    if lacking := sorted(ends & {*_LACKS}):
        raise ExportRefused(f"{name} has {', '.join(lacking)} inputs or outputs, which a browser has no arrays of")


def _check_runtime(model: Description, runtime: Path) -> None:
    wanted = model.runtime.packages["onnxruntime"]
    get = f"install it with 'npm install onnxruntime-web@{wanted}', and name node_modules/onnxruntime-web"
    try:
        found = json.loads((runtime / "package.json").read_bytes())
    except (OSError, ValueError):
        raise ExportRefused(f"{runtime} is not the folder of onnxruntime-web; {get}") from None
    if (found.get("name"), found.get("version")) != ("onnxruntime-web", wanted):
        raise ExportRefused(
            f"{runtime} has {found.get('name')} {found.get('version')}, expected onnxruntime-web {wanted} as the lock "
            f"says; {get}"
        )
