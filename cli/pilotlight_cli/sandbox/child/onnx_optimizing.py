"""Writing an ONNX model with its graph optimised: what ONNX Runtime does at each load, done once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pilotlight_cli.formats.recognition import recognise
from pilotlight_cli.sandbox.child.onnx_runtime import idle_options, open_session

# Tensors of this many bytes and more go into the file beside the model. ONNX Runtime lets those above a megabyte begin
# on a page, so that a load maps them.
_SMALLEST: Final = 1024


def optimize(document: dict[str, Any]) -> dict[str, Any]:
    """Write the model at `path` to `file`; with `data`, the name of a file beside it, large tensors go there.

    What it answers are the files beside it that are in use.

    The level is the highest that holds for any CPU: the one above lays tensors out for the one at hand. Raises
    ModelError.
    """
    options = idle_options("ORT_ENABLE_EXTENDED")
    options.optimized_model_filepath = document["file"]
    if document["data"]:
        prefix = "session.optimized_model_external_initializers"
        options.add_session_config_entry(f"{prefix}_file_name", document["data"])
        options.add_session_config_entry(f"{prefix}_min_size_in_bytes", str(_SMALLEST))
    open_session(Path(document["path"]), options, "optimise")
    return {"companions": list(map(str, recognise(Path(document["file"])).companions))}
