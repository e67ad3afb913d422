"""Writing an ONNX model with an optimised graph, so that ONNX Runtime need not optimise it at each load."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pilotlight_cli.formats.recognition import recognise
from pilotlight_cli.sandbox.child.onnx_runtime import idle_options, open_session

# Tensors of this many bytes and more go into the external data file. ONNX Runtime aligns those above a megabyte to a
# page, so that a load maps them.
_SMALLEST: Final = 1024


def optimize(document: dict[str, Any]) -> dict[str, Any]:
    """Write the model at `path` to `file` in `format`.

    With `data`, the name of a file beside it, large tensors go there. Return the external data files. The level is the
    highest that is the same for any CPU: the one above lays tensors out for the present one. Raise ModelError.
    """
    options = idle_options("ORT_ENABLE_EXTENDED")
    options.optimized_model_filepath = document["file"]
    options.add_session_config_entry("session.save_model_format", document["format"].upper())
    if document["data"]:
        prefix = "session.optimized_model_external_initializers"
        options.add_session_config_entry(f"{prefix}_file_name", document["data"])
        options.add_session_config_entry(f"{prefix}_min_size_in_bytes", str(_SMALLEST))
    open_session(Path(document["path"]), options)
    return {"external_files": list(map(str, recognise(Path(document["file"])).external_files))}
