"""Small descriptions of models that follow the formats, for tests that need no model behind them."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.drift.bins import Bins
from pilotlight.drift.reference import Column
from pilotlight.experiments.lock import ExperimentLock, Treatment, control_of
from pilotlight.model.golden import Golden, Sample, Values
from pilotlight.model.lock import Description, File, Lock, Needs, Runtime, Session, Signer
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import DATATYPES, FP32, INT64, Datatype
from pilotlight.shadow.lock import ShadowLock

if TYPE_CHECKING:
    from pilotlight_cli.sandbox.inspection import Inspection

CREATED_AT = "2026-07-31T12:00:00Z"

ONNX = Runtime("onnx", "onnxruntime-python", {"onnxruntime": "1.31.1"})
SKLEARN = Runtime("sklearn", "scikit-learn", {"numpy": "2.4.6", "scikit-learn": "1.9.1"})

CLASSIFIER = Signature(
    inputs=(Input("features", FP32, (-1, 2), "features", ("mean radius", "mean texture")),),
    outputs=(
        Output("label", INT64, (-1,), "label"),
        Output("probabilities", FP32, (-1, 2), "probabilities", (0.0, 1.0)),
    ),
    labels=(0, 1),
)
COLUMNS = Signature(
    inputs=(
        Input("city", DATATYPES["BYTES"], (-1, 1), "features"),
        Input("area", DATATYPES["FP64"], (-1,), "features", missing=True),
    ),
    outputs=(Output("rent", FP32, (-1, 1), "tensor", (100.0, 5000.5)),),
)
TENSORS = Signature(
    inputs=(Input("image", DATATYPES["UINT8"], (1, 3, -1, -1), "tensor"), Input("scale", FP32, (), "tensor")),
    outputs=(Output("boxes", FP32, (-1, 4), "tensor"), Output("kinds", INT64, (-1,), "tensor")),
)


def file(name: str, size: int = 3, digit: str = "a") -> File:
    """Return a file with a digest of one repeated digit."""
    return File(name, size, digit * 64)


def onnx_model(signature: Signature = CLASSIFIER) -> Description:
    """Return an ONNX model with external data."""
    return Description(
        name="breast-cancer",
        version=3,
        format="onnx",
        files=(file("model.onnx"), file("weights.bin", 10, "b")),
        runtime=ONNX,
        signature=signature,
        golden=file("golden.json", 20, "c"),
    )


def optimised_model() -> Description:
    """Return an ONNX model whose graph was optimised before it was published."""
    return replace(onnx_model(), runtime=replace(ONNX, session=Session("off", prepacking=False)))


def pickled_model() -> Description:
    """Return a pickle that asks for a name that Pilotlight ships and for one that its publisher allowed."""
    return Description(
        name="rents_2",
        version=1,
        format="pickle",
        files=(file("model.pkl"),),
        runtime=SKLEARN,
        signature=COLUMNS,
        golden=file("golden.json", 20, "c"),
        allowed_globals=("sklearn.linear_model._ridge.Ridge",),
        extra_globals=("flats.Rounded",),
    )


def transformer() -> Description:
    """Return a skops file whose outputs are those of named methods."""
    methods = ("transform", "predict_proba[1]")
    return replace(
        pickled_model(), format="skops", signature=TENSORS, runtime=replace(SKLEARN, methods=methods), extra_globals=()
    )


def measured_model() -> Description:
    """Return an ONNX model whose start was measured, with a reference."""
    return replace(onnx_model(), needs=Needs(185, 900), reference=file("reference.json", 30, "d"))


def reference() -> tuple[Column, ...]:
    """Return what 100 rows of the classifier were like."""
    counts = (0, 60, 40, 0, 0)
    return (
        Column(Bins("mean radius", edges=(6.5, 14.0, 28.5)), counts),
        Column(Bins("mean texture", edges=(9.0, 18.0, 40.0)), counts),
        Column(Bins("prediction", values=(0, 1)), (40, 60, 0, 0)),
        Column(Bins("probability_0", edges=(0.0, 0.5, 1.0)), counts),
        Column(Bins("probability_1", edges=(0.0, 0.5, 1.0)), counts),
    )


def lock(model: Description) -> Lock:
    """Return a lock of that model."""
    return Lock(model, "d" * 64)


def experiments() -> list[ExperimentLock]:
    """Return an experiment with two treatments of an ONNX model, and one of a pickle that is assigned by request."""
    model, pickled = onnx_model(), pickled_model()
    treatments = (
        Treatment(replace(model, version=4, needs=Needs(95, 12)), ((0, 1000), (3000, 3500))),
        Treatment(replace(optimised_model(), version=5), ((1000, 2000),)),
    )
    other = Treatment(replace(pickled, version=2), ((5000, 10_000),))
    return [
        ExperimentLock(
            *("salt-1", "header:x-user-id", control_of(model), treatments),
            start="2026-07-31T12:00:00Z",
            end="2026-08-31T12:00:00Z",
        ),
        ExperimentLock("salt-2", "field:user_id", control_of(model), treatments[:1], is_random_without=True),
        ExperimentLock("salt-3", "request", control_of(pickled), (other,)),
    ]


def shadows() -> list[ShadowLock]:
    """Return a shadow of an ONNX model that sees all requests, and one of a pickle that sees a few."""
    model, pickled = onnx_model(), pickled_model()
    return [
        ShadowLock(control_of(model), 10_000, replace(optimised_model(), version=4)),
        ShadowLock(control_of(pickled), 25, replace(pickled, version=2)),
    ]


def said_locks() -> tuple[Lock, ...]:
    """Return locks of a signed version in a project that demands a signer, and of one that breaks callers."""
    signed = replace(lock(onnx_model()), signer=Signer("team.pub", "e" * 64))
    return signed, replace(signed, breaking=True)


def golden(datatype: Datatype = FP32) -> Golden:
    """One sample with an input of that datatype; a float among its values is one that JSON cannot write."""
    data: dict[str, tuple[bool | int | float | str | None, ...]] = {"BOOL": (True, False), "BYTES": ("a", "ü")}
    values = data.get(datatype.name, (0.5, None) if datatype.is_float else (datatype.low, datatype.high))
    sample = Sample((Values("values", datatype, (1, 2), values),), (Values("sum", FP32, (), (1.0,)),))
    return Golden((sample,), absolute=0.0, relative=1e-4)


def golden_of(signature: Signature) -> Golden:
    """One sample for a signature, with a float that JSON cannot write if it has floats."""

    def values(tensor: Input | Output) -> Values:
        shape = tuple(max(length, 1) for length in tensor.shape)
        value: float | int | str | None = (
            "a" if tensor.datatype.name == "BYTES" else None if tensor.datatype.is_float else 0
        )
        return Values(tensor.name, tensor.datatype, shape, (value,) * prod(shape))

    sample = Sample(tuple(map(values, signature.inputs)), tuple(map(values, signature.outputs)))
    return Golden((sample,), absolute=0.0, relative=1e-4)


def inspection(folder: Path, weights: bytes = b"weights", signature: Signature = CLASSIFIER) -> Inspection:
    """Write an ONNX file with external data into a folder of its own, as `publish` accepts it."""
    from pilotlight_cli.sandbox.inspection import Inspection

    folder.mkdir(parents=True, exist_ok=True)
    files = (folder / "model.onnx", folder / "weights.bin")
    for path, content in zip(files, (b"graph", weights), strict=True):
        path.write_bytes(content)
    return Inspection("onnx", files, ONNX, signature, golden_of(signature), notes=("the labels were guessed",))
