"""ONNX models that are damaged or absurd, each with what comes of it, and a program that inspects them.

The program prints a line for each: what publish makes of it, in a child of its own.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, TensorProto, helper, numpy_helper

from forks import outcome
from onnx_models import external, ort_form
from pilotlight import runtimes
from pilotlight.model.golden import differences
from pilotlight_cli.formats.recognition import recognise
from pilotlight_cli.sandbox.child.onnx import inspect
from pilotlight_cli.sandbox.child.samples import predict_sample
from pilotlight_cli.sandbox.job import Job, provisional_description, read_findings, write_findings

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
_OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]

# What publish says, or PUBLISHED; EITHER where it depends on which byte is hit.
PUBLISHED, EITHER = "published", "either"


def main(folder: str) -> None:
    """Write and inspect each model."""
    for name, (make, _) in CASES.items():
        place = Path(folder) / name.replace(" ", "_")
        path = written(place, make)
        print(json.dumps({"name": name, **outcome(partial(publish, path))}), flush=True)


def written(folder: Path, make: Callable[[], ModelProto | bytes]) -> Path:
    """Write a model into a new folder."""
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(16))
    made = make()
    path = folder / "model.onnx"
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    return path


def publish(path: Path) -> str:
    """Inspect a model and verify its samples on a model that was loaded again. Return `published`."""
    found = recognise(path)
    job = Job(
        path,
        found.kind,
        frozenset(),
        path.parent,
        external_files=found.external_files,
        labels=found.labels,
        vocabulary=found.vocabulary,
        repairs=found.repairs,
    )
    findings = read_findings(write_findings(inspect(job)))
    files = (findings.path, *found.external_files)
    description = provisional_description(files, findings.format, findings.runtime, findings.signature, ((), ()))
    model = runtimes.load(description, findings.path.parent, threads=1)
    for sample in findings.golden.samples:
        again = predict_sample(sample, findings.signature, model.predict)
        assert not differences(findings.golden, sample.outputs, again)
    return PUBLISHED


def end(name: str, *shape: int | str, kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def numbers(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def model(
    nodes: Sequence[Any],
    *initializers: TensorProto,
    inputs: Sequence[Any] | None = None,
    outputs: Sequence[Any] | None = None,
    functions: Sequence[FunctionProto] = (),
) -> ModelProto:
    """Return a model, of rows of four numbers `x` and `y` unless said otherwise."""
    graph = GraphProto(name="graph", node=nodes, initializer=initializers)
    graph.input.extend([end("x", "N", 4)] if inputs is None else inputs)
    graph.output.extend([end("y", "N", 4)] if outputs is None else outputs)
    return ModelProto(ir_version=8, graph=graph, opset_import=_OPSETS, functions=functions)


def plain() -> ModelProto:
    """Return a sound model: two layers with their weights."""
    weights = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)
    return model(
        [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r w", "y")],
        numpy_helper.from_array(weights, "w"),
    )


def changed(change: Callable[[ModelProto], object]) -> Callable[[], ModelProto]:
    """Return a maker of the sound model with a change."""

    def make() -> ModelProto:
        made = plain()
        change(made)
        return made

    return make


def plain_bytes() -> bytes:
    return bytes(plain().SerializeToString())


@cache
def ort_bytes() -> bytes:
    """Return the sound model in ONNX Runtime's own format."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(plain_bytes())
        return ort_form(path).read_bytes()


def truncated(share: float, sound: Callable[[], bytes] = plain_bytes) -> Callable[[], bytes]:
    return lambda: sound()[: int(len(sound()) * share)]


def flipped(seed: int, sound: Callable[[], bytes] = plain_bytes) -> Callable[[], bytes]:
    """Return a maker of the sound model in which a fixed seed flips bits of a byte."""

    def make() -> bytes:
        content = bytearray(sound())
        source = random.Random(seed)  # noqa: S311 - reproducible
        content[source.randrange(len(content))] ^= source.randrange(1, 256)
        return bytes(content)

    return make


def weight(**fields: Any) -> Callable[[], ModelProto]:
    """Return a maker of a model that adds a tensor with these fields."""
    tensor = TensorProto(**{"name": "w", "data_type": FLOAT, "dims": [4], **fields})
    return lambda: model([node("Add", "x w", "y")], tensor)


def elsewhere(location: str, **fields: str) -> Callable[[], ModelProto]:
    """Return a maker of a model that adds a tensor in another file."""
    tensor = external(location)
    for entry in tensor.external_data:
        entry.value = fields.get(entry.key, entry.value)
    return lambda: model([node("Add", "x vector", "y")], tensor)


def expanded(operator: str, *values: int) -> Callable[[], ModelProto]:
    """Return a maker of a model that makes a tensor from its shape alone."""
    outputs = [end("y", *("N" for _ in values))]
    return lambda: model([node(operator, "x shape", "y")], numbers("shape", *values), outputs=outputs)


def nested(depth: int) -> Callable[[], ModelProto]:
    """Return a maker of branches within branches."""

    def branch(level: int) -> GraphProto:
        inner = [node("Identity", "x", f"y{level}")]
        if level < depth:
            graph = branch(level + 1)
            inner = [
                node(
                    "If",
                    "on",
                    f"y{level}",
                    then_branch=graph,
                    else_branch=helper.make_graph(
                        [node("Identity", "x", f"z{level}")], "other", [], [end(f"z{level}", "N", 4)]
                    ),
                )
            ]
        return helper.make_graph(inner, "branch", [], [end(f"y{level}", "N", 4)])

    def make() -> ModelProto:
        top = branch(0)
        return model([*top.node, node("Identity", "y0", "y")], numpy_helper.from_array(np.array(True), "on"))

    return make


def buried(depth: int) -> Callable[[], bytes]:
    """Return a maker of an attribute's graph within a node's attribute, and so on, byte by byte."""

    def field(number: int, content: bytes) -> bytes:
        size, length = b"", len(content)
        while length > 0x7F:
            size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + content

    def make() -> bytes:
        content = b""
        for _ in range(depth):  # GraphProto.node = 1, NodeProto.attribute = 5, AttributeProto.g = 6
            content = field(1, field(5, field(6, content)))
        return b"\x08\x08" + field(7, content)

    return make


def calling(*names: str) -> Callable[[], ModelProto]:
    """Return a maker of functions of which each calls the next, and the last the first."""
    functions = [
        helper.make_function(
            "own",
            name,
            ["a"],
            ["b"],
            [helper.make_node(names[(index + 1) % len(names)], ["a"], ["b"], domain="own")],
            _OPSETS,
        )
        for index, name in enumerate(names)
    ]
    return lambda: model([helper.make_node(names[0], ["x"], ["y"], domain="own")], functions=functions)


def odd_attribute() -> ModelProto:
    made = model([node("Softmax", "x", "y", axis=1)])
    made.graph.node[0].attribute[0].CopyFrom(AttributeProto(name="axis", type=AttributeProto.STRING, s=b"one"))
    return made


ADD = node("Add", "x x", "y")
COPY = node("Identity", "x", "y")

CASES: dict[str, tuple[Callable[[], ModelProto | bytes], str]] = {
    "sound": (plain, PUBLISHED),
    **{f"cut at {share}": (truncated(share), EITHER) for share in (0.01, 0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.99)},
    **{f"a flipped byte {seed}": (flipped(seed), EITHER) for seed in range(12)},
    "sound, in ORT's own format": (ort_bytes, PUBLISHED),
    **{
        f"ORT cut at {share}": (truncated(share, ort_bytes), "own format that is truncated or damaged; copy or make it")
        for share in (0.01, 0.2, 0.5, 0.8, 0.99)
    },
    **{f"a flipped byte of ORT {seed}": (flipped(seed, ort_bytes), EITHER) for seed in range(40)},
    "a node of itself": (lambda: model([node("Add", "x y", "y")]), "the graph is not acyclic"),
    "two nodes in a circle": (
        lambda: model([node("Add", "x b", "a"), node("Add", "a x", "b"), COPY]),
        "the graph is not acyclic",
    ),
    "nodes in the wrong order": (lambda: model([node("Relu", "h", "y"), node("Abs", "x", "h")]), PUBLISHED),
    "a negative length": (changed(lambda made: made.graph.input[0].CopyFrom(end("x", -5, 4))), PUBLISHED),
    "a huge length": (
        changed(lambda made: made.graph.input[0].CopyFrom(end("x", "N", 2**62))),
        "Incompatible dimensions",
    ),
    "huge lengths": (
        changed(lambda made: made.graph.input[0].CopyFrom(end("x", 2**31, 2**31, 2**31))),
        "Incompatible dimensions",
    ),
    "no length": (changed(lambda made: made.graph.input[0].CopyFrom(end("x", "N", 0))), "Incompatible dimensions"),
    "a thousand dimensions": (
        lambda: model([COPY], inputs=[end("x", *[1] * 1000)], outputs=[end("y", *[1] * 1000)]),
        "the model fails on generated rows: .*maximum supported dimension",
    ),
    "an output of another shape": (lambda: model([COPY], outputs=[end("y", "N", 7, 7)]), PUBLISHED),
    "weights of fewer bytes": (weight(raw_data=bytes(8)), "buffer size mismatch"),
    "weights of more bytes": (weight(raw_data=bytes(64)), "buffer size mismatch"),
    "weights of a negative shape": (weight(dims=[-4], raw_data=bytes(16)), "Out of bounds dimensions"),
    "weights of a huge shape": (weight(dims=[2**40]), "Incompatible dimensions"),
    "weights of an overflowing shape": (weight(dims=[2**32, 2**32], raw_data=bytes(16)), "Incompatible dimensions"),
    "weights of no type": (weight(data_type=0, raw_data=bytes(16)), "does not have type information"),
    "weights of an unknown type": (weight(data_type=99, raw_data=bytes(16)), "does not have valid data type"),
    "strings as raw bytes": (
        weight(data_type=TensorProto.STRING, raw_data=bytes(16)),
        r"Type 'tensor\(string\)' .* is invalid",
    ),
    "weights of another type": (weight(data_type=INT64, raw_data=bytes(32)), "bound to different types"),
    "values of another field": (weight(int64_data=[1, 2, 3, 4]), "does not match the data size"),
    "a huge tensor from a shape": (
        lambda: model(
            [
                node("ConstantOfShape", "shape", "big"),
                node("ReduceMax", "big", "m", keepdims=0),
                node("Add", "x m", "y"),
            ],
            numbers("shape", 2**40),
        ),
        "takes more than the limit of 4000 MB of memory",
    ),
    "a huge expansion": (expanded("Expand", 2**20, 2**20, 4), "invalid expand shape"),
    "a huge repetition": (expanded("Tile", 2**30, 2**10), "Tile output tensor would require more than"),
    "an impossible shape": (expanded("Reshape", 3, 7), "cannot be reshaped"),
    "a negative shape": (expanded("Reshape", -7, 4), "Invalid dimension value: -7"),
    "data in the folder above": (elsewhere("../secret.bin"), "'../secret.bin', expected a file in the model's folder"),
    "data above a folder": (elsewhere("a/../../secret.bin"), "'a/../../secret.bin', expected a file in"),
    "data at an absolute path": (elsewhere("/etc/passwd"), "'/etc/passwd', expected a file in"),
    "data with a zero byte": (elsewhere("weights.bin\0../secret"), r"'weights.bin\\x00../secret', expected a file in"),
    "data in no file": (elsewhere("nowhere.bin"), "nowhere.bin, but there is no such file"),
    "data in a folder": (elsewhere("."), "but there is no such file"),
    "data in the model": (elsewhere("model.onnx"), "names itself as external data"),
    "data after the end": (elsewhere("weights.bin", offset="4096"), "are out of bounds"),
    "data before the start": (elsewhere("weights.bin", offset="-16"), "are out of bounds"),
    "data of a huge length": (elsewhere("weights.bin", length=str(2**62)), "size mismatch"),
    "data at a huge offset": (elsewhere("weights.bin", offset=str(2**63 - 1)), "overflow"),
    "data at no number": (elsewhere("weights.bin", offset="first"), "Failed to parse value"),
    "branches in branches": (nested(30), PUBLISHED),
    "more branches than a parser reads": (buried(200), "Protobuf parsing failed"),
    "far more branches": (buried(20_000), "Protobuf parsing failed"),
    "a function that calls itself": (calling("F"), "must not be recursive"),
    "functions in a circle": (calling("F", "G", "H"), "must not be recursive"),
    "an input of no type": (lambda: model([COPY], inputs=[end("x", "N", 4, kind=0)]), "Invalid tensor data type 0"),
    "an input of an unknown type": (
        lambda: model([COPY], inputs=[end("x", "N", 4, kind=99)]),
        "Invalid tensor data type 99",
    ),
    "an output of another type": (
        lambda: model([COPY], outputs=[end("y", "N", 4, kind=INT64)]),
        "does not match expected type",
    ),
    "inputs of two types": (lambda: model([node("Add", "x k", "y")], numbers("k", 1)), "bound to different types"),
    "an attribute of another type": (odd_attribute, "Mismatched attribute type"),
    "an output made twice": (lambda: model([ADD, COPY]), "has two inputs, or values in its graph, named 'y'; export"),
    "an input named twice": (
        lambda: model([COPY], inputs=[end("x", "N", 4), end("x", "N", 4)]),
        "has two inputs, or values in its graph, named 'x'; export it with a name for each",
    ),
    "an output named twice": (
        lambda: model([COPY], outputs=[end("y", "N", 4), end("y", "N", 4)]),
        "has two outputs named 'y'; export it with a name for each",
    ),
    "weights named twice": (
        lambda: model([node("Add", "x k", "y")], *2 * [numpy_helper.from_array(np.ones(4, np.float32), "k")]),
        PUBLISHED,
    ),
    "an output that is the input": (lambda: model([], outputs=[end("x", "N", 4)]), PUBLISHED),
    "an output that nothing makes": (lambda: model([COPY], outputs=[end("z", "N", 4)]), "does not exist in the graph"),
    "no nodes": (changed(lambda made: made.graph.ClearField("node")), "does not exist in the graph"),
    "no inputs": (changed(lambda made: made.graph.ClearField("input")), "is not a graph input"),
    "no outputs": (
        changed(lambda made: made.graph.ClearField("output")),
        "has no outputs, so it answers nothing; export it with its outputs",
    ),
    "no graph": (changed(lambda made: made.ClearField("graph")), "is not a model file that Pilotlight serves"),
    "no opset": (changed(lambda made: made.ClearField("opset_import")), "Missing opset"),
    "a negative opset": (
        changed(lambda made: setattr(made.opset_import[0], "version", -3)),
        "uses the operator MatMul, which onnxruntime .* does not have",
    ),
    "no IR version": (changed(lambda made: made.ClearField("ir_version")), "Missing model IR version"),
    "a huge IR version": (
        changed(lambda made: setattr(made, "ir_version", 2**62)),
        "has IR version 4611686018427387904, but onnxruntime",
    ),
    "an operator of no name": (lambda: model([node("", "x", "y")]), "'op_type' of 'node' is required"),
    "too many inputs of a node": (
        lambda: model([node("Relu", " ".join(["x"] * 5000), "y")]),
        "This is an invalid model",
    ),
    "a name of a megabyte": (lambda: model([helper.make_node("Identity", ["x"], ["y"], name="n" * 10**6)]), PUBLISHED),
    "an input of no name": (
        lambda: model([COPY], inputs=[end("x", "N", 4), end("", "N", 4)]),
        "has an input without a name",
    ),
}


if __name__ == "__main__":
    main(*sys.argv[1:])
