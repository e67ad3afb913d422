"""The engines give the same answers, to 1e-6, for the models of the tests."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import pytest

import models
from engines import ENGINES, load
from pilotlight.codec.decode import read_instances
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP32, INT64, Tensor

SAMPLE = Signature(
    (Input("features", FP32, (-1, 30), "features", tuple(f"f{index}" for index in range(30))),),
    (Output("label", BYTES, (-1,), "tensor"), Output("probabilities", FP32, (-1, 2), "tensor")),
)
RENTS = Signature(
    tuple(Input(name, BYTES if name == "city" else FP32, (-1, 1), "features") for name in models.COLUMNS),
    (Output("variable", FP32, (-1, 1), "tensor"),),
)
CLASSES = Signature(
    (Input("features", FP32, (-1, 4), "features", ("a", "b", "c", "d")),),
    (Output("label", INT64, (-1,), "tensor"), Output("probabilities", FP32, (-1, 3), "tensor")),
)


def answers(engine: str, file: Path, signature: Signature, instances: list[Any]) -> list[tuple[Tensor, ...]]:
    """To all instances at once, and to each of the first ones alone."""
    model = load(engine, file, signature)
    batches = (instances, *([instance] for instance in instances[:5]))
    return [model.predict(read_instances(signature, batch, "$"), 30.0) for batch in batches]


@pytest.mark.parametrize(("name", "signature"), [("sample", SAMPLE), ("rents", RENTS), ("three_classes", CLASSES)])
def test_both_engines_give_the_same_answers(name: str, signature: Signature, tmp_path: Path) -> None:
    trained = models.sample() if name == "sample" else getattr(models, name)(tmp_path)
    drawn = trained.draw(200, models.new_seed()).instances
    instances = [list(row.values()) if isinstance(row, dict) else row for row in drawn]
    first, second = (answers(engine, trained.files["onnx"], signature, instances) for engine in ENGINES)
    for one, other in zip(first, second, strict=True):
        assert len(one) == len(other) == len(signature.outputs)
        for left, right in zip(one, other, strict=True):
            assert (left.datatype, left.shape) == (right.datatype, right.shape)
            same = left.values() if left.datatype in (BYTES, INT64) else pytest.approx(left.values(), abs=1e-6)
            assert right.values() == same


def test_both_engines_give_the_same_answers_to_plain_tensors(tmp_path: Path) -> None:
    signature = Signature(
        (Input("signal", FP32, (-1, 2, 3), "tensor"),),
        (Output("doubled", FP32, (-1, 2, 3), "tensor"), Output("sums", FP32, (-1, 2), "tensor")),
    )
    signal = Tensor(FP32, (4, 2, 3), array("f", [value / 7 for value in range(24)]))
    first, second = (load(engine, models.plain_tensors(tmp_path), signature).predict([signal]) for engine in ENGINES)
    assert [tensor.values() for tensor in first] == [pytest.approx(tensor.values(), abs=1e-6) for tensor in second]
