"""Inspecting an ONNX model through ONNX Runtime: its inputs and outputs, and their roles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pilotlight import runtimes
from pilotlight.errors import FormatError, ModelError
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import DATATYPES, Datatype
from pilotlight_cli.sandbox.child.agreement import check_tensors, read_given
from pilotlight_cli.sandbox.child.exhaustion import is_exhaustion
from pilotlight_cli.sandbox.child.onnx_roles import check_guess, guess_inputs, guess_outputs
from pilotlight_cli.sandbox.child.onnx_runtime import idle_options, open_session
from pilotlight_cli.sandbox.child.onnx_session import read_session
from pilotlight_cli.sandbox.child.samples import fill_outputs, golden_notes, make_samples, shared_vocabulary
from pilotlight_cli.sandbox.job import Findings, Job, UsageError, provisional_description, runtime_of

# Keys of a model's metadata (ModelProto.metadata_props), each a JSON array.
FEATURE_NAMES = "pilotlight.feature_names"
LABELS = "pilotlight.labels"

_DATATYPES = {datatype.onnx: datatype for datatype in DATATYPES.values()}


def inspect(job: Job) -> Findings:
    """Inspect an ONNX model. Raise ModelError, FormatError or UsageError."""
    if job.requested_format not in ("", "onnx"):
        raise UsageError(
            f"{job.path.name} is an ONNX model, but --format says {job.requested_format}; leave --format out"
        )
    if job.allow:
        raise UsageError(f"{job.path.name} is an ONNX model, which imports no globals; leave --allow out")
    metadata, inputs, outputs = _read(job)
    notes: list[str] = []
    if job.signature:
        signature = _given(job.signature, inputs, outputs)
    else:
        names = _texts(metadata, FEATURE_NAMES)
        labels = _labels(metadata) or job.labels
        guessed_outputs, guessed_labels = guess_outputs(outputs, labels, notes)
        signature = Signature(guess_inputs(inputs, names, notes), guessed_outputs, guessed_labels)
    runtime = runtime_of("onnx", signature, job.packages, read_session(metadata))
    description = provisional_description((job.path, *job.external_files), "onnx", runtime, signature, ((), ()))
    model = runtimes.load(description, job.path.parent, threads=1)
    golden = make_samples(job.golden, signature, shared_vocabulary(signature, job.vocabulary))
    try:
        filled = fill_outputs(golden, signature, model.predict)
    except ModelError as error:
        if not golden.generated or is_exhaustion(error):
            raise
        golden = filled = replace(golden, samples=())
        notes.append(f"the model fails on generated inputs: {error}")
    check_guess(signature, filled)
    return Findings("onnx", job.path, runtime, signature, filled, notes=(*notes, *golden_notes(golden, filled)))


def _read(job: Job) -> tuple[dict[str, str], list[Input], list[Output]]:
    """Return a model's metadata, inputs and outputs. Raise ModelError if it has no inputs."""
    session = open_session(job.path, idle_options("ORT_DISABLE_ALL"))
    if not session.get_inputs():
        raise ModelError(
            f"{job.path.name} has no inputs, so that all its answers are the same; expected at least one: export the "
            "model with its inputs"
        )
    return (
        session.get_modelmeta().custom_metadata_map,
        [Input(tensor.name, *_described(tensor, "input"), "tensor") for tensor in session.get_inputs()],
        [Output(tensor.name, *_described(tensor, "output"), "tensor") for tensor in session.get_outputs()],
    )


def _described(tensor: Any, what: str) -> tuple[Datatype, tuple[int, ...]]:  # noqa: ANN401 - onnxruntime has no types
    """Return a tensor's datatype and shape; dynamic dimensions are -1. Raise ModelError."""
    kind = tensor.type
    if kind.startswith("seq(map("):
        raise ModelError(
            f"the {what} {tensor.name!r} is a sequence of maps, expected a tensor; convert the model again with "
            "options={'zipmap': False}"
        )
    if not kind.startswith("tensor(") or kind[7:-1] not in _DATATYPES:
        raise ModelError(
            f"the {what} {tensor.name!r} is a {kind}, expected a tensor of {', '.join(_DATATYPES)}; change it, for "
            "instance with a Cast"
        )
    shape = tuple(length if isinstance(length, int) and length >= 0 else -1 for length in tensor.shape)
    return _DATATYPES[kind[7:-1]], shape


def _given(text: str, inputs: Sequence[Input], outputs: Sequence[Output]) -> Signature:
    given = read_given(text)
    check_tensors(given.inputs, inputs, "inputs", all_of=True)
    check_tensors(given.outputs, outputs, "outputs", all_of=False)
    return given


def _texts(metadata: dict[str, str], key: str) -> tuple[str, ...]:
    values = _array(metadata, key)
    if not all(isinstance(value, str) and value for value in values):
        raise FormatError("expected a JSON array of strings", "", f"the model's metadata {key}")
    return tuple(values)


def _labels(metadata: dict[str, str]) -> tuple[str | int, ...]:
    values = _array(metadata, LABELS)
    if not all(type(value) in (str, int) for value in values):
        raise FormatError("expected a JSON array of strings or integers", "", f"the model's metadata {LABELS}")
    return tuple(values)


def _array(metadata: dict[str, str], key: str) -> list[Any]:
    try:
        values = json.loads(metadata.get(key, "[]"))
    except ValueError as error:
        raise FormatError(f"not valid JSON: {error}", "", f"the model's metadata {key}") from None
    return values if isinstance(values, list) else [None]
