"""`--quantize int8`: weights of 8 bits, if that is faster and within the tolerance of the golden samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pilotlight.model.golden import Golden, Values
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.formats.recognition import Recognised
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.sandbox.isolation import run_task
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sandbox.limits import Limits

# A smaller gain is not worth other answers.
_LEAST_GAIN: Final = 0.05


def quantize(model: Path, golden: Golden, about: str, limits: Limits, module: str) -> tuple[Path, str]:
    """Return the file to keep, `model` or one beside it, and a sentence that says which and why.

    Raise UsageError for golden samples without numbers, ModelError or InstallError.
    """
    if not golden.samples:
        raise UsageError("--golden has no samples; --quantize compares on them")
    target = model.with_name("quantized.onnx")
    job = {
        "model": str(model),
        "quantized": str(target),
        "samples": [{values.name: _written(values) for values in sample.inputs} for sample in golden.samples],
        "relative": golden.relative,
        "absolute": golden.absolute,
    }
    packages = host_packages([*KINDS["onnx"].requirements(about, Recognised("onnx")), "onnx>=1.14,<1.24"])
    found = run_task("quantize", job, packages, model.parent, about, limits=limits, module=module)
    kept, note = choose(found)
    return target if kept else model, note


def choose(found: dict[str, Any]) -> tuple[bool, str]:
    """Return whether to keep int8, and a sentence with what was measured."""
    if not found:
        return False, "kept the graph as it is: it has no products with FP32 weights, which int8 is for"
    before, after = found["times"]
    measured = (
        f"{after:.3g} ms instead of {before:.3g} ms, {found['sizes'][1]} bytes instead of {found['sizes'][0]}, largest "
        f"difference {found['largest']:.2g}"
    )
    if not found["agrees"]:
        return False, f"kept FP32: int8 is not within the tolerance of the golden samples ({measured})"
    if after > before * (1 - _LEAST_GAIN):
        return False, f"kept FP32: int8 is not faster ({measured})"
    return True, f"kept int8 ({measured})"


def _written(values: Values) -> dict[str, Any]:
    return {"dtype": values.datatype.numpy or "object", "shape": values.shape, "data": values.data}
