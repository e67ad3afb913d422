"""Inspecting an ONNX model through ONNX Runtime: its inputs and outputs, and their roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pilotlight import runtimes
from pilotlight.errors import FormatError, ModelError
from pilotlight.model.json_document import first_duplicate
from pilotlight.model.lock import Session
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import DATATYPES, Datatype, Tensor
from pilotlight_cli.formats.onnx_facts import Facts, may_read_beyond_a_row, read_facts
from pilotlight_cli.sandbox.child.agreement import check_tensors, read_given
from pilotlight_cli.sandbox.child.exhaustion import is_exhaustion
from pilotlight_cli.sandbox.child.onnx_metadata import SIGNATURE, read_labels, read_names, read_session
from pilotlight_cli.sandbox.child.onnx_roles import Known, check_labels, guess_inputs, guess_outputs, note_scores
from pilotlight_cli.sandbox.child.onnx_runtime import open_model, session_facts
from pilotlight_cli.sandbox.child.onnx_trial import (
    Predict,
    Run,
    row_problem,
    run_once,
    seen_outputs,
    try_batches,
    unstable_outputs,
    with_widths,
)
from pilotlight_cli.sandbox.child.samples import fill_outputs, golden_notes
from pilotlight_cli.sandbox.job import Findings, Job, UsageError, provisional_description, runtime_of

if TYPE_CHECKING:
    from pilotlight_cli.sandbox.child.onnx_repairing import Prove

_DATATYPES = {datatype.onnx: datatype for datatype in DATATYPES.values()}


@dataclass(frozen=True, slots=True)
class _Model:
    """A loaded model: its own inputs and outputs as `plain` tensors, and what its file and its graph show."""

    plain: Signature
    facts: Facts
    names: tuple[str, ...]
    known: Known
    session: Session
    loaded: runtimes.Model

    def predict(self, signature: Signature) -> Predict:
        """Return the function that predicts in the order of a signature's inputs and outputs."""
        places = {tensor.name: place for place, tensor in enumerate(signature.inputs)}
        order = [places[tensor.name] for tensor in self.plain.inputs]
        names = [tensor.name for tensor in self.plain.outputs]
        wanted = [names.index(tensor.name) for tensor in signature.outputs]

        def predict(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
            found = self.loaded.predict([tensors[place] for place in order])
            return tuple(found[place] for place in wanted)

        return predict


@dataclass(frozen=True, slots=True)
class Examined:
    """The findings about a model, what was changed in it, and what could not be.

    `runs` are those on which it was tried, with the inputs in the order of `names`.
    """

    findings: Findings
    changes: tuple[str, ...]
    names: tuple[str, ...]
    runs: tuple[Run, ...]
    kept: tuple[str, ...] = ()


def inspect(job: Job) -> Findings:
    """Inspect an ONNX model, or one in ONNX Runtime's own format. Raise ModelError, FormatError or UsageError."""
    if job.requested_format not in ("", job.kind):
        raise UsageError(
            f"{job.path.name} is an {job.kind.upper()} model, but --format says {job.requested_format}; leave "
            "--format out"
        )
    if job.allow:
        raise UsageError(f"{job.path.name} is an {job.kind.upper()} model, which imports no globals; leave --allow out")
    examined = examine(job)
    return replace(examined.findings, notes=(*examined.changes, *examined.kept, *examined.findings.notes))


def examine(job: Job) -> Examined:
    """Examine the model, rewritten where a function could not serve it as it is. Raise ModelError or FormatError."""
    signature = job.signature or (open_model(job.path, job.kind)[1].get(SIGNATURE, "") if job.kind == "ort" else "")
    given = read_given(signature) if signature else None
    if not job.repairs:
        return _examine(job, given, ())
    from pilotlight_cli.sandbox.child.onnx_repairing import explained, fixes_batch, repaired

    first = repaired(job, free=not fixes_batch(given))
    try:
        return _examine(first.job, given, first.changes, first.prove)
    except ModelError as error:
        if is_exhaustion(error) or not (first.freed or first.joined):
            raise
        if not first.freed:
            raise explained(first, error) from error
    form = repaired(job, free=False)
    examined = _examine(form.job, given, form.changes, form.prove)
    rows = "one row" if first.freed == 1 else f"{first.freed} rows"
    note = f"the batch is fixed: each request has {rows}, as the model fails or answers otherwise when it is made free"
    return replace(examined, kept=(note,))


def _examine(job: Job, given: Signature | None, changes: tuple[str, ...], prove: Prove | None = None) -> Examined:
    notes: list[str] = []
    model = _load(job, given, notes)
    inputs = Signature(_inputs(model, given, notes), model.plain.outputs)
    inputs, golden, runs = try_batches(model.predict(inputs), inputs, job, notes, given=given is not None)
    names = tuple(tensor.name for tensor in inputs.inputs)
    if prove:
        prove(names, runs, lambda batch: run_once(model.predict(inputs), inputs, batch).outputs)
    outputs = seen_outputs(inputs.outputs, runs, model.facts, notes)
    signature = _signature(given, replace(inputs, outputs=outputs), model.known, runs, notes)
    check_labels(signature, runs)
    _check_stable(signature, unstable_outputs(model.predict(inputs), inputs, runs))
    filled = fill_outputs(golden, signature, model.predict(signature))
    runtime = runtime_of(job.kind, signature, job.packages, model.session)
    notes.extend(golden_notes(golden, filled))
    findings = Findings(job.kind, job.path, runtime, signature, filled, notes=tuple(notes))
    return Examined(findings, changes, names, runs)


def _load(job: Job, given: Signature | None, notes: list[str]) -> _Model:
    """Load the model as a function does, by its own inputs and outputs. Raise ModelError or FormatError."""
    session, metadata = open_model(job.path, job.kind)
    own = given is not None and not job.signature
    if job.kind == "ort":
        facts = session_facts(session, checked=own or not may_read_beyond_a_row(job.path))
    else:
        facts = read_facts(job.path)
    if facts.training:
        raise ModelError(
            f"{job.path.name} has {facts.training} in training mode; export it in evaluation mode, in PyTorch after "
            "model.eval()"
        )
    inputs = tuple(Input(tensor.name, *_described(tensor, "input"), "tensor") for tensor in session.get_inputs())
    wanted = {output.name for output in given.outputs} if given else None
    outputs = tuple(
        Output(tensor.name, *_described(tensor, "output"), "tensor")
        for tensor in session.get_outputs()
        if wanted is None or tensor.name in wanted or tensor.type.startswith("tensor(")
    )
    _check_inputs(job, inputs)
    defaults = [repr(tensor.name) for tensor in session.get_overridable_initializers()]
    if defaults:
        more = f" and {len(defaults) - 3} more" if len(defaults) > 3 else ""
        notes.append(f"the default value is always used of {', '.join(defaults[:3])}{more}, inputs that have one")
    _check_outputs(job, outputs)
    plain = Signature(inputs, outputs)
    settings = read_session(metadata)
    runtime = runtime_of(job.kind, plain, job.packages, settings)
    description = provisional_description((job.path, *job.external_files), job.kind, runtime, plain, ((), ()))
    known = Known(read_labels(metadata), facts.labels, job.labels)
    loaded = runtimes.load(description, job.path.parent, threads=1)
    return _Model(plain, facts, read_names(metadata), known, settings, loaded)


def _check_inputs(job: Job, inputs: Sequence[Input]) -> None:
    if not inputs:
        raise ModelError(
            f"{job.path.name} has no inputs, so it answers every request alike; expected at least one: export it with "
            "its inputs"
        )
    for tensor in inputs:
        if not tensor.name:
            raise ModelError(f"{job.path.name} has an input without a name; export it with a name for each")
        if 0 in tensor.shape:
            raise ModelError(
                f"the input {tensor.name!r} has the shape {list(tensor.shape)}, which holds no values; export it with "
                "another length than 0, or with a dynamic one"
            )


def _check_outputs(job: Job, outputs: Sequence[Output]) -> None:
    names = [output.name for output in outputs]
    if not names:
        raise ModelError(f"{job.path.name} has no outputs, so it answers nothing; export it with its outputs")
    if twice := first_duplicate(names):
        raise ModelError(f"{job.path.name} has two outputs named {twice!r}; export it with a name for each")


def _inputs(model: _Model, given: Signature | None, notes: list[str]) -> tuple[Input, ...]:
    """Return the publisher's inputs if they match the model, else those that the model shows."""
    plain = model.plain
    if given is None:
        for tensor in plain.inputs:
            if model.facts.shapes.get(tensor.name, ()) is None:
                raise ModelError(f"the input {tensor.name!r} has no declared shape; give its shape with --signature")
    else:
        plain = _completed(model, given)
    plain = with_widths(model.predict(plain), plain, model.facts, given=given is not None)
    if given is None:
        guessed = guess_inputs(plain.inputs, model.names, notes)
        return tuple(
            replace(tensor, missing=tensor.datatype.is_float and tensor.name in model.facts.missing)
            for tensor in guessed
        )
    check_tensors(given.inputs, plain.inputs, "inputs", all_of=True)
    return given.inputs


def _completed(model: _Model, given: Signature) -> Signature:
    """Return the model's tensors with the publisher's shapes where the model has none."""
    shapes = {tensor.name: tensor.shape for tensor in given.inputs}

    def complete(tensor: Input) -> Input:
        declared, said = model.facts.shapes.get(tensor.name, ()), shapes.get(tensor.name, ())
        width = model.facts.widths.get(tensor.name)
        if declared is None:
            return replace(tensor, shape=said)
        if len(said) == 2 and tensor.shape[1:] == (-1,) and width and not width.exact and said[1] >= width.least:
            return replace(tensor, shape=(tensor.shape[0], said[1]))
        return tensor

    return replace(model.plain, inputs=tuple(map(complete, model.plain.inputs)))


def _signature(
    given: Signature | None, found: Signature, known: Known, runs: Sequence[Run], notes: list[str]
) -> Signature:
    """Return the publisher's signature if it matches the outputs that were seen, else a guess."""
    if given is not None:
        check_tensors(given.outputs, found.outputs, "outputs", all_of=False)
        for index, output in enumerate(given.outputs):
            if problem := row_problem(found, output, runs):
                hint = "leave it out, or give the inputs the first length 1"
                raise FormatError(f"{problem}; {hint}", f"$.outputs[{index}]", "the signature")
        note_scores(given, runs, notes)
        return given
    served = []
    for output in found.outputs:
        if problem := row_problem(found, output, runs):
            notes.append(f"{problem} for a request of several rows, so it is left out")
        else:
            served.append(output)
    outputs, labels = guess_outputs(served, known, runs, notes)
    return Signature(found.inputs, outputs, labels)


def _check_stable(signature: Signature, unstable: Sequence[str]) -> None:
    names = [output.name for output in signature.outputs if output.name in unstable]
    if names:
        raise ModelError(
            f"the model gives other values of {', '.join(names)} each time it runs on the same rows, so no answer can "
            "be verified; export it without random nodes, or leave these outputs out with --signature"
        )


def _described(tensor: Any, what: str) -> tuple[Datatype, tuple[int, ...]]:  # noqa: ANN401 - onnxruntime has no types
    """Return a tensor's datatype and shape; dynamic dimensions are -1. Raise ModelError."""
    kind = tensor.type.removeprefix("tensor(").removesuffix(")")
    if kind not in _DATATYPES:
        raise ModelError(
            f"the {what} {tensor.name!r} is a {tensor.type}, expected a tensor; {_advice(tensor.type, what)}"
        )
    shape = tuple(length if isinstance(length, int) and length >= 0 else -1 for length in tensor.shape)
    return _DATATYPES[kind], shape


def _advice(kind: str, what: str) -> str:
    """Return what to do about a value that is no tensor of a known datatype."""
    if kind.startswith("tensor("):
        return f"give it one of the datatypes {', '.join(_DATATYPES)}, for instance with a Cast"
    if what == "input":
        return "export the model with a tensor for each of its parts, not from a DictVectorizer, a dict or a list"
    if "map(" in kind:
        return "convert the model again with options={'zipmap': False}, in onnxmltools with zipmap=False"
    return "export the model with a tensor for each of its parts"
