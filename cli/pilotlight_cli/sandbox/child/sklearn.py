"""Looking into a scikit-learn model: what it takes and gives, and whether it answers as a function will load it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pilotlight import runtimes
from pilotlight.errors import ModelError
from pilotlight.model.golden import Golden, differences
from pilotlight.model.signature import Signature
from pilotlight.runtimes.sklearn import SklearnModel, check, serve, to_rows
from pilotlight_cli.sandbox.child.agreement import check_columns, check_labels, check_roles, read_given
from pilotlight_cli.sandbox.child.features import Features, find_features
from pilotlight_cli.sandbox.child.outputs import find_outputs
from pilotlight_cli.sandbox.child.samples import fill, golden_notes, make_samples, predict_sample, tensors
from pilotlight_cli.sandbox.child.storage import Stored, load, save
from pilotlight_cli.sandbox.job import Findings, Job, UsageError, provisional_description, runtime_of


def look(job: Job) -> Findings:
    """Everything about the scikit-learn model in a file. Raises ModelError, FormatError or UsageError."""
    if job.wanted == "onnx":
        raise UsageError(f"{job.path.name} is a scikit-learn model and --format says onnx; convert it with skl2onnx")
    estimator, asked = load(job)
    check(estimator)  # saving it again would call it
    if not hasattr(estimator, "predict"):
        raise ModelError(f"{job.path.name} holds a {type(estimator).__name__}, expected an estimator that predicts")
    forms = save(job, estimator, asked)  # before the estimator is changed for arrays
    given = read_given(job.signature) if job.signature else None
    features = _features(estimator, given)
    inputs = Signature(features.inputs, ())
    golden = make_samples(job.golden, inputs, features.words)
    serve(estimator, inputs)
    signature = _signature(estimator, inputs, given, golden)
    original = SklearnModel(estimator, signature)
    for index, stored in enumerate(forms):
        try:
            answer = _try(job, stored, signature, golden)
        except ModelError:
            if index + 1 == len(forms):
                raise
        else:
            if _same_answers(original, signature, answer.golden):
                return replace(answer, notes=(*features.notes, *answer.notes, *golden_notes(golden, answer.golden)))
    raise ModelError(f"{job.path.name} answers otherwise once it is saved again; publish it as an ONNX model")


def _features(estimator: Any, given: Signature | None) -> Features:  # noqa: ANN401 - scikit-learn has no types
    """The model's inputs; the publisher's own, held against them, where there are such."""
    if given is None:
        return find_features(estimator)
    try:
        features = find_features(estimator)
    except ModelError:
        return Features(given.inputs, {}, ())
    check_columns(given, Signature(features.inputs, ()), named=features.named)
    return Features(given.inputs, features.words, ())


def _signature(estimator: Any, inputs: Signature, given: Signature | None, golden: Golden) -> Signature:  # noqa: ANN401
    """The whole signature, for which the model is asked about the first sample."""
    rows = to_rows(tensors(golden.samples[0], inputs, "golden sample 0")) if golden.samples else None
    try:
        outputs, labels = find_outputs(estimator, rows)
    except ModelError:
        raise
    except Exception as error:  # a model raises what it likes
        hint = "give it real rows with --golden" if golden.generated else "correct the golden samples"
        raise ModelError(
            f"the model does not answer {'made-up' if golden.generated else 'the given'} rows: {type(error).__name__}: "
            f"{error}; {hint}"
        ) from error
    found = Signature(inputs.inputs, outputs, labels)
    if given is None:
        return found
    check_roles(given, found)
    check_labels(given, found)
    return replace(given, labels=given.labels or labels)


def _try(job: Job, stored: Stored, signature: Signature, golden: Golden) -> Findings:
    """The answer for one form of the model, loaded as a function loads it. Raises ModelError."""
    runtime = runtime_of(stored.format, signature, job.packages)
    description = provisional_description((stored.path,), stored.format, runtime, signature, stored.names)
    model = runtimes.load(description, stored.path.parent, threads=1)
    notes = (stored.note,) if stored.note else ()
    return Findings(
        stored.format, stored.path, runtime, signature, fill(golden, signature, model.predict), stored.names, notes
    )


def _same_answers(model: SklearnModel, signature: Signature, golden: Golden) -> bool:
    """Whether the model answers what its saved form answered, to the tolerance of golden samples."""
    return not any(
        differences(golden, sample.outputs, predict_sample(sample, signature, model.predict))
        for sample in golden.samples
    )
