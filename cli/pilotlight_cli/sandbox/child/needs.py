"""Starting once with a model, as a function does, to see what that takes. The process must be a fresh one."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pilotlight import runtimes
from pilotlight.errors import ModelError, origin
from pilotlight.model.golden import to_tensor
from pilotlight_cli.formats.engines import supporting
from pilotlight_cli.registry.digests import read_file_entry
from pilotlight_cli.sandbox.child.resources import peak_bytes
from pilotlight_cli.sandbox.job import provisional_description, read_findings


def needs(document: dict[str, Any]) -> dict[str, Any]:
    """Load the `files` of findings and answer their golden samples, on the engine that starts fastest.

    `memory_mb` is the process's peak resident size: it has the core and, where a function has its platform's runtime,
    modules of this command. `load_ms` is processor time, which does not depend on other load: of the runtime's import
    and of the load, on one thread. Raise ModelError.
    """
    files = [Path(file) for file in document.pop("files")]
    found = read_findings(document)
    runtime = replace(found.runtime, engine=supporting(found.format, found.signature)[0])
    for file in files[1:]:
        if file.parent != files[0].parent:  # a model that was saved again
            os.link(file, files[0].with_name(file.name))
    model = replace(
        provisional_description(files[:1], found.format, runtime, found.signature, found.names),
        files=tuple(map(read_file_entry, files)),
    )
    started = time.thread_time()
    runtimes.preload(model)
    loaded = runtimes.load(model, files[0].parent, threads=1)
    load = time.thread_time() - started
    for sample in found.golden.samples:
        given = {values.name: values for values in sample.inputs}
        try:
            loaded.predict([to_tensor(given[tensor.name], missing=tensor.missing) for tensor in found.signature.inputs])
        except Exception as error:  # a model can raise any error
            raise ModelError(f"the model fails on {runtime.engine}: {origin(error)}") from error
    return {"memory_mb": -(-peak_bytes() // 2**20), "load_ms": round(load * 1000)}
