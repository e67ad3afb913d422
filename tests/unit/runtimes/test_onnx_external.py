"""The files in which a model keeps tensors: what is found in its bytes is what ONNX Runtime opens."""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Iterable
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from engines import ENGINES, load
from onnx_hiding import PLACES, Field, encoded, tree, varint
from pilotlight.errors import ModelError
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import FP32, Tensor
from pilotlight.runtimes.onnx.binding import library
from pilotlight.runtimes.onnx.external import WITHIN, Malformed, external_files
from properties import event, given, st

MOVED = Signature((Input("points", FP32, (-1, 4), "tensor"),), (Output("moved", FP32, (-1, 4), "tensor"),))
POINTS = Tensor(FP32, (1, 4), array("f", [0] * 4))
CANARY = [111.0, 222.0, 333.0, 444.0]
NAMES = ("canary", "other")


def planted(folder: Path, model: bytes, names: Iterable[str] = NAMES) -> Path:
    """Return a folder's model, with a canary in each of these files."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(pack("4f", *CANARY))
    path = folder / "model.onnx"
    path.write_bytes(model)
    return path


def answer(path: Path) -> Any:
    """Return what ONNX Runtime makes of a model, left to itself; None where it refuses it."""
    onnxruntime = library()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return session.run(None, {"points": np.zeros((1, 4), np.float32)})[0].tolist()
    except Exception:  # noqa: BLE001 - the binding's errors have no common base
        return None


def test_the_places_are_those_of_the_package_onnx() -> None:
    def fields(message: Descriptor) -> list[FieldDescriptor]:
        return [field for field in message.fields if field.message_type is not None]

    def holds(message: Descriptor, seen: tuple[str, ...] = ()) -> bool:
        return message.name == "TensorProto" or any(
            holds(field.message_type, (*seen, message.name))
            for field in fields(message)
            if field.message_type.name not in (*seen, message.name)
        )

    messages = [message for message in onnx.onnx_ml_pb2.DESCRIPTOR.message_types_by_name.values() if holds(message)]
    found = {
        message.name: {field.number: field.message_type.name for field in fields(message) if holds(field.message_type)}
        for message in messages
    }
    found["TensorProto"] = {
        onnx.TensorProto.DESCRIPTOR.fields_by_name["external_data"].number: "StringStringEntryProto"
    }
    assert found == WITHIN


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("place", PLACES)
def test_a_file_that_the_lock_does_not_list_is_never_read(place: str, engine: str, tmp_path: Path) -> None:
    path = planted(tmp_path, PLACES[place]("canary").SerializeToString())
    assert answer(path) == [CANARY]
    with pytest.raises(ModelError, match=r"model\.onnx keeps tensors in 'canary', which model.lock does not list"):
        load(engine, path, MOVED)
    assert load(engine, path, MOVED, beside="canary").predict([POINTS])[0].values() == CANARY


@pytest.mark.parametrize("location", ["../canary", "{folder}/canary", "./canary", "*/_ORT_MEM_ADDR_/*", ""])
@pytest.mark.parametrize("place", PLACES)
def test_a_way_out_of_the_folder_is_found_whatever_it_looks_like(place: str, location: str, tmp_path: Path) -> None:
    location = location.format(folder=tmp_path)
    path = planted(tmp_path, PLACES[place](location).SerializeToString())
    with pytest.raises(ModelError, match="keeps tensors in"):
        load("onnxruntime-c", path, MOVED, beside="canary")


LOCATION, KEY, VALUE = b"location", 1, 2


def vector(*entries: list[Field]) -> list[Field]:
    """Return the fields of the tensor `vector`, with these entries of external data."""
    plain: list[Field] = [(1, 0, 4), (2, 0, 1), (8, 2, b"vector")]
    return [*plain, *((13, 2, entry) for entry in entries), (14, 0, 1)]


def entry(*texts: tuple[int, bytes]) -> list[Field]:
    return [(number, 2, text) for number, text in texts]


def graph(*tensors: list[Field]) -> list[Field]:
    """Return the fields of a graph that adds `vector`, which is initialised by these tensors."""
    (fields,) = (value for number, _, value in tree(PLACES["an initializer"]("")) if number == 7)
    assert isinstance(fields, list)
    return [*(field for field in fields if field[0] != 5), *((5, 2, tensor) for tensor in tensors)]


def model(*graphs: list[Field]) -> bytes:
    """Return a model of these graphs, which a parser merges."""
    others = [field for field in tree(PLACES["an initializer"]("")) if field[0] != 7]
    return encoded([*others, *((7, 2, fields) for fields in graphs)])


def initialised(*entries: list[Field]) -> bytes:
    """Return a model whose vector has these entries of external data."""
    return model(graph(vector(*entries)))


PLAIN = entry((KEY, LOCATION), (VALUE, b"canary"))
TWICE: dict[str, bytes] = {
    "plain": initialised(PLAIN),
    "two values, of which the last counts": initialised(entry((KEY, LOCATION), (VALUE, b"x"), (VALUE, b"canary"))),
    "two keys, of which the last counts": initialised(entry((KEY, b"x"), (VALUE, b"canary"), (KEY, LOCATION))),
    "the value before the key": initialised(entry((VALUE, b"canary"), (KEY, LOCATION))),
    "two places of the data": model(graph([(14, 0, 0), *vector(PLAIN)])),
    "two graphs": model(graph(), [(5, 2, vector(PLAIN))]),
    "an initializer before its graph": model([(5, 2, vector(PLAIN))], graph()),
    "wire types that the field does not have": model(
        [(5, 0, 7), (5, 5, b"1234"), (5, 1, b"12345678"), *graph(vector(PLAIN))]
    ),
}


@pytest.mark.parametrize("form", TWICE)
def test_fields_that_are_there_twice_count_as_for_a_parser(form: str, tmp_path: Path) -> None:
    path = planted(tmp_path, TWICE[form])
    assert answer(path) == [CANARY]
    assert "canary" in external_files(TWICE[form])


def test_of_two_locations_both_are_found() -> None:
    other = entry((KEY, LOCATION), (VALUE, b"other"))
    for entries in ((PLAIN, other), (other, PLAIN)):
        assert external_files(initialised(*entries)) == {"canary", "other"}


# Bytes that a parser takes, and no writer of ONNX makes: what is in them is not looked for.
GROUP = encoded([(100, 3, b""), (7, 2, [(5, 2, vector(PLAIN))]), (100, 4, b"")])
WIDE_KEY = varint(1 << 32 | 7 << 3 | 2) + varint(len(encoded(graph(vector(PLAIN))))) + encoded(graph(vector(PLAIN)))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(model() + WIDE_KEY, [CANARY], id="a key beyond 32 bits, which a parser cuts off"),
        pytest.param(initialised(PLAIN) + GROUP, [CANARY], id="a group, which a parser skips"),
        pytest.param(initialised(PLAIN) + b"\x0c", None, id="the end of a group"),
        pytest.param(initialised(PLAIN) + b"\x00\x00", None, id="a field of number 0"),
        pytest.param(initialised(PLAIN) + b"\x3f", None, id="a wire type that does not exist"),
        pytest.param(initialised(PLAIN)[:-1], None, id="an end that is missing"),
        pytest.param(initialised(PLAIN) + b"\x08" + b"\xff" * 11, None, id="a number that does not end"),
    ],
)
def test_what_no_writer_makes_is_refused(content: bytes, expected: Any, tmp_path: Path) -> None:
    path = planted(tmp_path, content)
    assert answer(path) == expected
    with pytest.raises(Malformed):
        external_files(content)
    with pytest.raises(ModelError, match=r"model\.onnx is not an ONNX model, expected a protocol buffer"):
        load("onnxruntime-c", path, MOVED, beside="canary")


STRANGE: list[Field] = [
    (100, 0, 1),
    (100, 2, b"location"),
    (13, 0, 1),
    (101, 5, b"1234"),
    (5, 2, b""),
    (14, 0, 0),
    (14, 0, 1),
]
TEXTS = [b"location", b"canary", b"other", b"x"]


CHANGES = ["none"] * 60 + ["in two", "twice", "after a stranger", "in another order"]


@st.composite
def rewritten(draw: st.DrawFn, fields: list[Field]) -> list[Field]:
    """Return a message in which some fields are in two parts, there twice, in another order, or beside strangers."""
    found: list[Field] = []
    for number, kind, value in fields:
        change = draw(st.sampled_from(CHANGES))
        inner = draw(rewritten(value)) if isinstance(value, list) else value
        if change == "in two" and isinstance(inner, list):
            middle = draw(st.integers(0, len(inner)))
            found += [(number, kind, inner[:middle]), (number, kind, inner[middle:])]
        elif change == "twice" and isinstance(inner, bytes):
            found += draw(st.permutations([(number, kind, inner), (number, kind, draw(st.sampled_from(TEXTS)))]))
        elif change == "after a stranger":
            found += [draw(st.sampled_from(STRANGE)), (number, kind, inner)]
        elif change == "in another order" and isinstance(inner, list):
            found.append((number, kind, draw(st.permutations(inner))))
        else:
            found.append((number, kind, inner))
    return found


@given(data=st.data(), place=st.sampled_from(sorted(PLACES)))
def test_onnx_runtime_opens_no_file_that_is_not_found(data: st.DataObject, place: str) -> None:
    """With nothing but the files that are found it answers as with all that it could want."""
    fields = data.draw(rewritten(tree(PLACES[place]("canary"))))
    paddings = data.draw(st.sampled_from([[0], [0, 0, 0, 1, 2]]))
    content = encoded(fields, lambda: data.draw(st.sampled_from(paddings)))
    with TemporaryDirectory() as name:
        whole = planted(Path(name, "whole"), content, (*NAMES, "x", "location"))
        expected = answer(whole)
        event(f"answers: {expected is not None}")
        found = external_files(content)
        bare = planted(Path(name, "bare"), content, ())
        for file in found & {path.name for path in whole.parent.iterdir()}:
            shutil.copyfile(whole.parent / file, bare.parent / file)
        assert answer(bare) == expected


@pytest.mark.parametrize("numbers", [10, 5000, 400_000])
def test_a_list_of_any_length_hides_nothing(numbers: int) -> None:
    floats: list[Field] = [(7, 5, pack("f", 0.5))] * numbers
    tensor: Field = (5, 2, vector(PLAIN))
    for attribute in ([*floats, tensor], [tensor, *floats], floats):
        content = encoded([(7, 2, [(1, 2, [(5, 2, attribute)])])])
        assert external_files(content) == ({"canary"} if tensor in attribute else set())


def test_a_large_model_is_looked_into_too(tmp_path: Path) -> None:
    weights: Field = (5, 2, [(1, 0, 500_000), (2, 0, 1), (8, 2, b"weights"), (9, 2, bytes(2_000_000))])
    path = planted(tmp_path, model([weights, *graph(vector(PLAIN))]))
    with pytest.raises(ModelError, match="keeps tensors in 'canary'"):
        load("onnxruntime-c", path, MOVED)
    assert load("onnxruntime-c", path, MOVED, beside="canary").predict([POINTS])[0].values() == CANARY
