"""Inspecting a scikit-learn model: its inputs and outputs, and its predictions once a function has loaded it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from pilotlight import runtimes
from pilotlight.errors import ModelError
from pilotlight.model.golden import Golden, differences
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import BYTES, FP32, FP64
from pilotlight.runtimes.sklearn import SklearnModel, check, serve, to_rows
from pilotlight_cli.registry.rows import column_types
from pilotlight_cli.sandbox.child.agreement import check_columns, check_labels, match_outputs, read_given
from pilotlight_cli.sandbox.child.features import Features, find_features, with_missing
from pilotlight_cli.sandbox.child.missing import complete_rows, missing_columns
from pilotlight_cli.sandbox.child.outputs import Outputs, check_fitted, check_method, find_outputs
from pilotlight_cli.sandbox.child.own_names import install_own_module
from pilotlight_cli.sandbox.child.parts import assemble
from pilotlight_cli.sandbox.child.samples import (
    fill_outputs,
    golden_notes,
    input_tensors,
    is_golden_document,
    make_samples,
    predict_sample,
)
from pilotlight_cli.sandbox.child.storage import Stored, load, save
from pilotlight_cli.sandbox.job import Findings, Job, UsageError, provisional_description, runtime_of


def inspect(job: Job) -> Findings:
    """Inspect the scikit-learn model in a file. Raise ModelError, FormatError or UsageError."""
    if job.requested_format == "onnx":
        raise UsageError(f"{job.path.name} is a scikit-learn model, but --format says onnx; convert it with skl2onnx")
    install_own_module(job)
    estimator, requested = load(job)
    check(estimator)  # before it is saved again, which calls it
    estimator, made_of = assemble(job, estimator)
    check_method(estimator, job.method)
    forms = save(job, estimator, requested, made_of)  # before the estimator is changed for arrays
    given = read_given(job.signature) if job.signature else None
    try:
        features = _features(estimator, given, _types(job))
    except ModelError:
        check_fitted(estimator)
        raise
    serve(estimator, Signature(features.inputs, ()))
    features, rows, outputs = _tried(estimator, features, given, job)
    if given is None:
        columns = missing_columns(estimator, rows, outputs.called)
        features = with_missing(features, columns, as_columns=not is_golden_document(job.golden))
    inputs = Signature(features.inputs, ())
    golden = make_samples(job.golden, inputs, features.vocabulary)
    signature, methods = _agreed(inputs, outputs, given)
    original = SklearnModel(estimator, signature, methods)
    for index, stored in enumerate(forms):
        try:
            findings = _inspect_form(job, stored, signature, methods, golden)
        except ModelError:
            if index + 1 == len(forms):
                raise
        else:
            if _predicts_alike(original, signature, findings.golden):
                notes = (*features.notes, *outputs.notes, *findings.notes, *golden_notes(golden, findings.golden))
                return replace(findings, notes=notes)
    raise ModelError(f"{job.path.name} predicts differently once it is saved again; publish it as an ONNX model")


def _types(job: Job) -> Mapping[str | int, Collection[type]]:
    return {} if is_golden_document(job.golden) else column_types(job.golden)


def _features(estimator: Any, given: Signature | None, types: Mapping[str | int, Collection[type]]) -> Features:  # noqa: ANN401
    """Return the model's inputs, or the publisher's if they match. Raise FormatError.

    `types` are those of the values in the publisher's rows, by column.
    """
    if given is None:
        return find_features(estimator, types)
    try:
        features = find_features(estimator)
    except ModelError:
        return Features(given.inputs, {}, ())
    check_columns(given, Signature(features.inputs, ()), named=features.named)
    return Features(given.inputs, features.vocabulary, ())


def _sample_rows(job: Job, features: Features, given: Signature | None) -> Any:  # noqa: ANN401 - an array
    """Return the rows of the first sample, complete ones if there are any; None without a sample.

    Before it is known where values may be missing, a sample may miss any.
    """
    open_ = [replace(tensor, missing=tensor.datatype in (BYTES, FP64)) for tensor in features.inputs]
    inputs = Signature(features.inputs if given else tuple(open_), ())
    golden = make_samples(job.golden, inputs, features.vocabulary)
    if not golden.samples:
        return None
    return complete_rows(to_rows(input_tensors(golden.samples[0], inputs, "golden sample 0")))


def _tried(estimator: Any, features: Features, given: Signature | None, job: Job) -> tuple[Features, Any, Outputs]:  # noqa: ANN401
    """Return the features, sample rows of them, and the model's outputs. Raise ModelError.

    The features are FP32 where the model refuses FP64: k-means keeps the precision of the rows that trained it.
    """
    rows = _sample_rows(job, features, given)
    try:
        return features, rows, _outputs(estimator, rows, job)
    except ModelError:
        if given or rows is None or len(features.inputs) > 1 or features.inputs[0].datatype is not FP64:
            raise
        narrow = rows.astype("float32")
        try:
            outputs = find_outputs(estimator, narrow, job.method)
        except Exception:  # noqa: BLE001 - a model can raise any error; the one with FP64 is the one to tell
            outputs = None
        if outputs is None:
            raise
        note = "the features are FP32: the model was trained in that precision and refuses FP64"
        inputs = (replace(features.inputs[0], datatype=FP32),)
        return replace(features, inputs=inputs, notes=(*features.notes, note)), narrow, outputs


def _outputs(estimator: Any, rows: Any, job: Job) -> Outputs:  # noqa: ANN401 - scikit-learn has no types
    """Return the outputs, from the model's answers to some rows."""
    try:
        return find_outputs(estimator, rows, job.method)
    except ModelError:
        raise
    except Exception as error:  # a model can raise any error
        check_fitted(estimator)
        hint = "correct the golden samples" if job.golden else "give it real rows with --golden"
        if job.signature:
            hint = f"correct the signature, which has to have each column of the model, or {hint}"
        raise ModelError(
            f"the model fails on {'the given' if job.golden else 'generated'} rows: {type(error).__name__}: {error}; "
            f"{hint}"
        ) from error


def _agreed(inputs: Signature, outputs: Outputs, given: Signature | None) -> tuple[Signature, tuple[str, ...]]:
    """Return the whole signature and the methods of its outputs, as the publisher gives them or as they are found."""
    found = Signature(inputs.inputs, outputs.outputs, outputs.labels)
    if given is None:
        return found, outputs.methods
    matched = match_outputs(given, found)
    check_labels(given, found)
    methods = tuple(outputs.methods[place] for place in matched) if outputs.methods else ()
    return replace(given, labels=given.labels or outputs.labels), methods


def _inspect_form(job: Job, stored: Stored, signature: Signature, methods: tuple[str, ...], golden: Golden) -> Findings:
    """Return the findings for one form of the model, loaded as a function loads it. Raise ModelError."""
    runtime = runtime_of(stored.format, signature, job.packages, methods=methods)
    description = provisional_description((stored.path,), stored.format, runtime, signature, stored.names)
    model = runtimes.load(description, stored.path.parent, threads=1)
    notes = (stored.note,) if stored.note else ()
    return Findings(
        stored.format,
        stored.path,
        runtime,
        signature,
        fill_outputs(golden, signature, model.predict),
        stored.names,
        notes,
    )


def _predicts_alike(model: SklearnModel, signature: Signature, golden: Golden) -> bool:
    """Return whether the model predicts what its saved form does, within the tolerance of golden samples."""
    return not any(
        differences(golden, sample.outputs, predict_sample(sample, signature, model.predict))
        for sample in golden.samples
    )
