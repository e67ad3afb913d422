"""What ONNX Runtime refuses, as sentences, from both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from engines import ENGINES, load
from pilotlight.errors import ModelError
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import FP32
from pilotlight.runtimes.onnx.refusals import cleaned

SIGNATURE = Signature((Input("x", FP32, (-1,), "tensor"),), (Output("y", FP32, (-1,), "tensor"),))


def written(
    folder: Path,
    operator: str = "Identity",
    domain: str = "",
    *,
    opset: int = 13,
    of_domain: int = 1,
    ir_version: int = 8,
) -> Path:
    """Write a model of one node."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in "xy")
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], domain=domain)], "one", [x], [y])
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, of_domain)] if domain else [])]
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=ir_version).SerializeToString())
    return path


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ir_version": 99}, r"^model\.onnx has IR version 99, but onnxruntime \S+ supports IR versions up to \d+; "),
        (
            {"opset": 99},
            (
                r"^model\.onnx has opset 99 of ai\.onnx, but onnxruntime \S+ supports opsets up to (\d+); export it "
                r"for opset \1, or convert it with onnx\.version_converter$"
            ),
        ),
        (
            {"domain": "ai.onnx.ml", "of_domain": 99},
            (
                r"^model\.onnx has opset 99 of ai\.onnx\.ml, but onnxruntime \S+ supports opsets up to (\d+); export "
                r"it for opset \1 of that domain: target_opset=\{'ai\.onnx\.ml': \1\} in skl2onnx$"
            ),
        ),
        ({"operator": "Nope"}, r"^model\.onnx uses the operator Nope, which onnxruntime \S+ does not have; "),
        (
            {"operator": "Foo", "domain": "com.example"},
            r"^model\.onnx uses the operator Foo of the domain com\.example, which onnxruntime \S+ does not have; ",
        ),
        (
            {"operator": "Foo", "domain": "ai.onnx.ml"},
            r"^model\.onnx uses the operator Foo of the domain ai\.onnx\.ml, which",
        ),
        (
            {"operator": "RandomUniformLike", "opset": 22},
            r"^model\.onnx uses the operator RandomUniformLike of version 22 with types that onnxruntime \S+ does not",
        ),
        (
            {"operator": "Add"},
            r"^onnxruntime \S+ cannot load model\.onnx: .*Add",
        ),
    ],
)
def test_a_refusal_says_what_was_found_and_what_to_do(
    engine: str, changes: dict[str, str | int], why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=why) as caught:
        load(engine, written(tmp_path, **changes), SIGNATURE)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "[ONNXRuntimeError] : 1 : FAIL : /a/rnn.h:48 ort::RNN<T>::RNN(const Info&) [with T = float] no.\n",
            "FAIL: no.",
        ),
        (
            "/src/a.cc:235 ort::Locale::Locale(const std::string&)::<lambda()> Failed to construct",
            "Failed to construct",
        ),
        ("/src/a.cc:1 void a::F(int, std::function<void(int)>) const x was false. No", "x was false. No"),
        ("Status Message: upsamplebase.h:544 ScalesValidation Scale value", "Status Message: Scale value"),
        ("/src/a.cc:1 no signature", "no signature"),
        ("/src/a.cc:1 f(", "("),
        ("x" * 10_000, "x" * 4000),
    ],
)
def test_places_in_the_librarys_source_are_left_out(message: str, expected: str) -> None:
    assert cleaned(message) == expected
