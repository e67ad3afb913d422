"""Writing a repaired ONNX model for its publisher: what publish would rewrite, and what it takes from a run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto, ValueInfoProto, helper

from pilotlight.errors import ModelError
from pilotlight.model.signature import Input, Output
from pilotlight_cli.sandbox.child.agreement import read_given
from pilotlight_cli.sandbox.child.onnx import Examined, examine
from pilotlight_cli.sandbox.child.onnx_metadata import FEATURE_NAMES, LABELS
from pilotlight_cli.sandbox.child.onnx_proof import find_difference
from pilotlight_cli.sandbox.child.onnx_repairing import written
from pilotlight_cli.sandbox.child.onnx_rewriting import Rewriting, put_metadata
from pilotlight_cli.sandbox.child.onnx_runtime import idle_options, open_session
from pilotlight_cli.sandbox.child.onnx_trial import shown
from pilotlight_cli.sandbox.job import Job, read_job


def repair(document: dict[str, Any]) -> dict[str, Any]:
    """Write the repaired model to the path `out`, with its external data in one file beside it.

    `names` and `labels` go into the metadata. Return the changes, what could not be changed, and the files; none where
    nothing is to be changed. Raise ModelError or FormatError.
    """
    job, out = read_job(document["job"]), Path(document["out"])
    named, changes = _named(job, document["names"], document["labels"])
    examined = examine(replace(named, repairs=True))
    changes += examined.changes
    model = onnx.load(examined.findings.path, load_external_data=False)
    signature = examined.findings.signature
    for declared, tensors in ((model.graph.input, signature.inputs), (model.graph.output, signature.outputs)):
        changes += _declare(declared, tensors)
    count = len(job.external_files)
    files = _save(model, examined, out, job.external_files) if changes or count > 1 else []
    if count > 1:
        changes.append(f"the external data of {count} files was gathered in {files[-1].name}")
    return {"changes": changes, "kept": list(examined.kept), "files": list(map(str, files))}


def _named(job: Job, names: Sequence[str], labels: Sequence[str | int]) -> tuple[Job, list[str]]:
    """Return a job for the model with those names and labels, or those of the signature, in its metadata."""
    given = read_given(job.signature) if job.signature else None
    if given:
        names = names or given.inputs[0].feature_names
        labels = labels or [each for each in given.labels if isinstance(each, str | int) and not isinstance(each, bool)]
    rewriting = Rewriting(onnx.load(job.path, load_external_data=False))
    for key, values in ((FEATURE_NAMES, names), (LABELS, labels)):
        if values:
            put_metadata(rewriting, key, values)
    return (written(job, rewriting, "named") if rewriting.changes else job), rewriting.changes


def _declare(declared: Sequence[ValueInfoProto], tensors: Sequence[Input | Output]) -> list[str]:
    """Declare the shapes that the model was seen to have."""
    changes = []
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    for value in declared:
        kind, shape = value.type.tensor_type, shapes.get(value.name)
        lengths = [each.dim_value if each.HasField("dim_value") else -1 for each in kind.shape.dim]
        if shape is None or (kind.HasField("shape") and lengths == list(shape)):
            continue
        was = f"before: {shown(lengths)}" if kind.HasField("shape") else "it had none"
        changes.append(f"the shape {shown(shape)} was declared for {value.name!r} ({was})")
        dimensions = [None if length == -1 else length for length in shape]
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind.elem_type, dimensions))
    return changes


def _save(model: ModelProto, examined: Examined, out: Path, external: Sequence[Path]) -> list[Path]:
    """Write the model, and check that the files answer as the examined ones. Raise ModelError."""
    out.parent.mkdir()
    files = [out]
    if external:
        copies = out.parent / "copies"  # onnx reads no file that has another name too
        copies.mkdir()
        for file in external:
            shutil.copyfile(file, copies / file.name)
        onnx.load_external_data_for_model(model, str(copies))
        shutil.rmtree(copies)
        onnx.save_model(model, out, save_as_external_data=True, location=f"{out.stem}.data")
        files += [file for file in [out.with_suffix(".data")] if file.exists()]
    else:
        out.write_bytes(model.SerializeToString())
    session = open_session(out, idle_options("ORT_ENABLE_ALL"))
    problem = find_difference(session, Rewriting(model), examined.names, examined.runs, lambda _: {})
    if problem:
        raise ModelError(f"{out.name} answers differently once it is saved: {problem}; publish the given file instead")
    return files
