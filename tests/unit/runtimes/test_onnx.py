"""What holds for ONNX models on either engine."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from struct import pack
from typing import Any

import onnx
import pytest

import models
import onnx_models
from engines import ENGINES, load
from large_models import mlp
from pilotlight.errors import InvalidRequest, ModelError, PredictionTimeout, RuntimeMismatch
from pilotlight.model.formats import LIBRARIES
from pilotlight.model.lock import Session
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import (
    BF16,
    BOOL,
    BYTES,
    DATATYPES,
    FP32,
    FP64,
    INT64,
    Buffer,
    Datatype,
    Tensor,
    pack_bfloat16,
)
from pilotlight.runtimes import Model
from pilotlight.runtimes.onnx import SMALLEST, binding, c_api

PLAIN = Signature(
    (Input("signal", FP32, (-1, 2, 3), "tensor"),),
    (Output("doubled", FP32, (-1, 2, 3), "tensor"), Output("sums", FP32, (-1, 2), "tensor")),
)
VECTOR = Signature((Input("x", FP32, (-1,), "tensor"),), (Output("y", FP32, (-1,), "tensor"),))
LOOKUP = Signature((Input("index", INT64, (-1, 1), "tensor"),), (Output("entry", FP32, (-1, 1), "tensor"),))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def same(datatype: Datatype, *shape: int) -> Signature:
    """Return the signature of a model that gives its input back."""
    return Signature((Input("x", datatype, shape, "tensor"),), (Output("y", datatype, shape, "tensor"),))


def test_a_session_gives_what_the_graph_says(engine: str, tmp_path: Path) -> None:
    model = load(engine, models.plain_tensors(tmp_path), PLAIN)
    doubled, sums = model.predict([Tensor(FP32, (1, 2, 3), array("f", range(6)))])
    assert (doubled.shape, doubled.values()) == ((1, 2, 3), [0, 2, 4, 6, 8, 10])
    assert (sums.shape, sums.values()) == ((1, 2), [3, 12])


def test_outputs_come_in_the_order_of_the_signature_and_may_be_left_out(engine: str, tmp_path: Path) -> None:
    model = load(engine, models.plain_tensors(tmp_path), Signature(PLAIN.inputs, PLAIN.outputs[1:]))
    (sums,) = model.predict([Tensor(FP32, (2, 2, 3), array("f", range(12)))])
    assert (sums.shape, sums.values()) == ((2, 2), [3, 12, 21, 30])


def test_the_model_of_a_first_session_is_what_onnx_itself_writes() -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    opsets = [onnx.helper.make_opsetid("", 13)]
    expected = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    assert expected.SerializeToString() == SMALLEST


PRELOADS: dict[str, Callable[[], None]] = {
    "onnxruntime-c": lambda: c_api.preload({}),
    "onnxruntime-python": lambda: binding.preload({}),
}


def test_a_first_session_is_really_made(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PRELOADS[engine]()
    for module in (binding, c_api):
        monkeypatch.setattr(module, "SMALLEST", b"no model")
    with pytest.raises(Exception, match="Protobuf parsing failed|INVALID_PROTOBUF"):
        PRELOADS[engine]()


def test_a_runtime_is_there_before_there_is_a_model(engine: str) -> None:
    program = f"""
from pathlib import Path
from doubles import description
from pilotlight import runtimes
from pilotlight.model.lock import Runtime
from pilotlight.frozen import replace
runtimes.preload(replace(description(), runtime=Runtime("onnx", {engine!r}, {{}})))
maps = Path("/proc/self/maps").read_text()
print(*(name in maps for name in ("libonnxruntime.so", "onnxruntime_pybind")))
"""
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "support")}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == {"onnxruntime-c": ["True", "False"], "onnxruntime-python": ["False", "True"]}[engine]


VALUES: dict[str, list[object]] = {
    "BOOL": [True, False, True],
    "FP16": [0.5, -65504.0, 6e-8],
    "BF16": [0x3F00, 0xFF7F, 0x0001],  # their bits: 0.5, the lowest, the smallest above zero
    "FP32": [0.5, -3e38, 1e-45],
    "FP64": [0.5, -1e308, 5e-324],
    "BYTES": ["", "ü𝄞\n", "a" * 5000],
}


@pytest.mark.parametrize(
    ("engine", "datatype"),
    [
        pytest.param(engine, datatype, id=f"{engine}-{datatype.name}")
        for engine in ENGINES
        for datatype in DATATYPES.values()
        if datatype is not BF16 or engine == "onnxruntime-c"
    ],
)
def test_values_of_every_datatype_go_through_unchanged(engine: str, datatype: Datatype, tmp_path: Path) -> None:
    kind = onnx_models.ELEMENTS[datatype.name]
    model = load(engine, onnx_models.identity(tmp_path, kind, "N"), same(datatype, -1))
    values = VALUES.get(datatype.name, [datatype.low, 1, datatype.high])
    data: Any = values if datatype is BYTES else pack(f"3{'?' if datatype is BOOL else datatype.typecode}", *values)
    given = Tensor(datatype, (3,), data)
    (found,) = model.predict([given])
    assert (found.datatype, found.shape, found.values()) == (datatype, (3,), given.values())


def test_the_c_api_serves_a_model_with_bf16_at_its_ends(tmp_path: Path) -> None:
    model = load("onnxruntime-c", onnx_models.bfloat16_plus(tmp_path, 0.5), same(BF16, -1, 3))
    given = Tensor(BF16, (2, 3), pack_bfloat16([0, 1, -2, 3.5, 200, 3e38]))
    (found,) = model.predict([given])
    assert (found.datatype, found.shape) == (BF16, (2, 3))
    # 200.5 lies between 200 and 201, and 200 is the even one; next to 3e38 a half is nothing.
    assert found.values() == [0.5, 1.5, -1.5, 4.0, 200.0, given.values()[5]]


@pytest.mark.parametrize("ends", [(BF16, FP32), (FP32, BF16)])
def test_the_binding_refuses_bf16_at_the_load(ends: tuple[Datatype, Datatype], tmp_path: Path) -> None:
    file = onnx_models.identity(tmp_path, onnx_models.ELEMENTS["BF16"], "N")
    signature = Signature((Input("x", ends[0], (-1,), "tensor"),), (Output("y", ends[1], (-1,), "tensor"),))
    with pytest.raises(ModelError, match="the model has BF16 inputs or outputs, which the engine onnx"):
        load("onnxruntime-python", file, signature)


@pytest.mark.parametrize("shape", [(), (0,), (0, 4), (2, 0, 3), (1, 1, 1, 1)])
@pytest.mark.parametrize("datatype", [FP32, INT64, BYTES], ids=lambda datatype: datatype.name)
def test_scalars_and_tensors_of_nothing_keep_their_shape(
    engine: str, datatype: Datatype, shape: tuple[int, ...], tmp_path: Path
) -> None:
    names = [f"d{index}" for index in range(len(shape))]
    file = onnx_models.identity(tmp_path, onnx_models.ELEMENTS[datatype.name], *names)
    model = load(engine, file, same(datatype, *[-1] * len(shape)))
    count = 0 if 0 in shape else 1
    data: Any = ["x"] * count if datatype is BYTES else array(datatype.typecode, [7] * count)
    (found,) = model.predict([Tensor(datatype, shape, data)])
    assert (found.shape, found.count, len(found.values())) == (shape, count, count)


@pytest.mark.parametrize("strings", [["a\0b", "\0", ""], ["x" * 200_000, "é"], [f"nr {n}" for n in range(1000)]])
def test_strings_go_through_with_zeros_in_them_and_of_any_length(
    engine: str, strings: list[str], tmp_path: Path
) -> None:
    model = load(engine, onnx_models.identity(tmp_path, onnx_models.ELEMENTS["BYTES"], "N"), same(BYTES, -1))
    for given in (strings, strings[:1], strings):
        (found,) = model.predict([Tensor(BYTES, (len(given),), given)])
        assert found.values() == given


def test_values_may_lie_in_any_buffer_and_anywhere_in_it(engine: str, tmp_path: Path) -> None:
    model = load(engine, models.plain_tensors(tmp_path), Signature(PLAIN.inputs, PLAIN.outputs[1:]))
    numbers = array("f", range(6))
    raw = numbers.tobytes()
    buffers: tuple[Buffer, ...] = (
        *(numbers, raw, bytearray(raw), memoryview(numbers), memoryview(raw), memoryview(bytearray(b"x" + raw))[1:]),
        *(memoryview(b"x" * skipped + raw + b"y")[skipped:-1] for skipped in range(8)),
    )
    for data in buffers:
        (sums,) = model.predict([Tensor(FP32, (1, 2, 3), data)])
        assert sums.values() == [3, 12]


def test_answers_stay_what_they_were_after_the_next_request_and_after_the_model_is_gone(
    engine: str, tmp_path: Path
) -> None:
    model = load(engine, models.plain_tensors(tmp_path), PLAIN)
    first = model.predict([Tensor(FP32, (1, 2, 3), array("f", range(6)))])
    for _ in range(3):
        model.predict([Tensor(FP32, (1, 2, 3), array("f", [9] * 6))])
    del model
    gc.collect()
    assert [output.values() for output in first] == [[0, 2, 4, 6, 8, 10], [3, 12]]


def test_external_data_is_read_from_beside_the_model(engine: str, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(array("f", range(4)).tobytes())
    signature = Signature((Input("points", FP32, (-1, 4), "tensor"),), (Output("moved", FP32, (-1, 4), "tensor"),))
    model = load(engine, onnx_models.with_external_data(tmp_path, "weights.bin"), signature, beside="weights.bin")
    assert model.predict([Tensor(FP32, (1, 4), array("f", [1] * 4))])[0].values() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "signature",
    [
        Signature((Input("noise", FP32, (-1, 2, 3), "tensor"),), PLAIN.outputs),
        Signature((Input("signal", FP64, (-1, 2, 3), "tensor"),), PLAIN.outputs),
        Signature(PLAIN.inputs, (Output("sums", FP64, (-1, 2), "tensor"),)),
        Signature(PLAIN.inputs, (Output("totals", FP32, (-1, 2), "tensor"),)),
    ],
)
def test_a_signature_that_is_not_the_models_fails_the_load_and_not_each_request(
    engine: str, signature: Signature, tmp_path: Path
) -> None:
    with pytest.raises(
        ModelError, match=r"expected the (in|out)put .* from the signature, found in the model .* of tensor"
    ):
        load(engine, models.plain_tensors(tmp_path), signature)


def test_another_version_of_the_library_than_the_locks_is_refused(engine: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeMismatch, match=r"the lock names 99\.0\.1; install what requirements\.lock pins"):
        load(engine, models.plain_tensors(tmp_path), PLAIN, {"onnxruntime": "99.0.1"})


def test_a_library_that_is_too_old_is_refused_before_the_model_is_read(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"\xff no protobuf, of any location")
    with pytest.raises(RuntimeMismatch, match=r"the lock: found onnxruntime 1\.26\.0, expected 1\.27\.0 or later"):
        load(engine, file, PLAIN, {"onnxruntime": "1.26.0"})
    monkeypatch.setitem(LIBRARIES, "onnxruntime", replace(LIBRARIES["onnxruntime"], oldest="99.0.0"))
    with pytest.raises(RuntimeMismatch, match=r"this environment: found onnxruntime \S+, expected 99\.0\.0 or later"):
        load(engine, file, PLAIN)
    monkeypatch.undo()
    with pytest.raises(ModelError, match=r"model\.onnx is not an ONNX model, expected a protocol buffer"):
        load(engine, file, PLAIN)


def test_a_file_is_onnx_whatever_it_is_called(engine: str, tmp_path: Path) -> None:
    path = models.plain_tensors(tmp_path)
    options = binding.library().SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "other.ort")  # by its name, in ONNX Runtime's own format
    binding.library().InferenceSession(path, options, providers=["CPUExecutionProvider"])
    assert load(engine, path.rename(tmp_path / "model.ort"), PLAIN)
    with pytest.raises(Exception, match="INVALID_PROTOBUF"):
        load(engine, tmp_path / "other.ort", PLAIN)


def test_what_is_no_model_fails_the_load_with_the_librarys_own_words(engine: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no protobuf")
    with pytest.raises(ModelError, match=r"cannot load model\.onnx: INVALID_PROTOBUF: Protobuf parsing failed"):
        load(engine, tmp_path / "model.onnx", PLAIN)


def test_after_a_run_that_failed_the_next_is_right(engine: str, tmp_path: Path) -> None:
    model = load(engine, onnx_models.lookup(tmp_path), LOOKUP)
    for _ in range(50):
        with pytest.raises(InvalidRequest, match="the model does not accept these values") as caught:
            model.predict([Tensor(INT64, (1, 1), array("q", [7]))], 30.0)
        assert re.search(r"INVALID_ARGUMENT.*out of data bounds", str(caught.value.__cause__))
        assert model.predict([Tensor(INT64, (1, 1), array("q", [1]))])[0].values() == [20]


def test_a_run_that_failed_leaves_no_line_of_the_library(
    engine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = load(engine, onnx_models.lookup(tmp_path), LOOKUP)
    for timeout in (None, 30.0):
        with pytest.raises(InvalidRequest):
            model.predict([Tensor(INT64, (1, 1), array("q", [7]))], timeout)
    assert capfd.readouterr() == ("", "")


PAIR = Signature(
    (Input("left", FP32, (-1,), "tensor"), Input("right", FP32, (-1,), "tensor")),
    (Output("sums", FP32, (-1,), "tensor"),),
)


def vector(*values: float) -> Tensor:
    return Tensor(FP32, (len(values),), array("f", values))


def test_inputs_whose_lengths_do_not_go_together_are_the_callers_fault(engine: str, tmp_path: Path) -> None:
    model = load(engine, onnx_models.added(tmp_path), PAIR)
    assert model.predict([vector(1, 2), vector(3, 4)])[0].values() == [4, 6]
    with pytest.raises(InvalidRequest, match="the model does not accept these values") as caught:
        model.predict([vector(1, 2), vector(1, 2, 3)])
    assert "Add" in str(caught.value.__cause__)


def test_memory_that_does_not_suffice_is_not_the_callers_fault(engine: str, tmp_path: Path) -> None:
    signature = Signature((Input("shape", INT64, (-1,), "tensor"),), (Output("zeros", FP32, (-1, -1), "tensor"),))
    model = load(engine, onnx_models.zeros(tmp_path), signature)
    assert model.predict([Tensor(INT64, (2,), array("q", [1, 2]))])[0].shape == (1, 2)
    with pytest.raises(Exception, match="alloc") as caught:
        model.predict([Tensor(INT64, (2,), array("q", [10**8, 10**7]))])
    assert not isinstance(caught.value, InvalidRequest)


def test_threads_get_the_answers_to_their_own_inputs(engine: str, tmp_path: Path) -> None:
    model = load(engine, models.plain_tensors(tmp_path), Signature(PLAIN.inputs, PLAIN.outputs[1:]))

    def sums(number: int) -> list[float]:
        return model.predict([Tensor(FP32, (1, 2, 3), array("f", [number] * 6))], 30.0)[0].values()

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(sums, range(4000))) == [[3 * number] * 2 for number in range(4000)]


def test_a_session_optimises_unless_the_lock_says_that_it_was_done_before(engine: str, tmp_path: Path) -> None:
    size = 700
    vector = Tensor(FP32, (1,), array("f", [1]))
    file = onnx_models.folded(tmp_path, size)
    took = {}
    for choice in ("all", "off"):
        model = load(engine, file, VECTOR, session=Session(choice))
        took[choice] = min(processor_seconds(model, vector, 1 + size) for _ in range(5))
    assert took["off"] > 5 * took["all"]


def processor_seconds(model: Model, given: Tensor, wanted: float) -> float:
    """Return what a prediction takes of the processor: a model with one thread runs in the caller's."""
    began = time.thread_time()
    assert model.predict([given])[0].values() == [wanted]
    return time.thread_time() - began


def test_without_prepacking_weights_stay_where_the_file_has_them(engine: str, tmp_path: Path) -> None:
    size = 3072  # 38 MB of weights: above 32 MB glibc gives every allocation pages of its own
    weights = 4 * size * size
    signature = Signature((Input("x", FP32, (-1, size), "tensor"),), (Output("y", FP32, (-1, size), "tensor"),))
    row = Tensor(FP32, (1, size), array("f", [1]) * size)
    file = onnx_models.multiplied(tmp_path, size)
    grew, models = {}, []  # kept: what one of them frees must not hide what the next one takes
    for prepacking in (False, True):
        before = memory("RssAnon")
        models.append(load(engine, file, signature, session=Session("off", prepacking), beside="weights.bin"))
        assert models[-1].predict([row])[0].values() == [size] * size
        grew[prepacking] = memory("RssAnon") - before
    assert grew[True] > 0.8 * weights
    assert grew[False] < 0.4 * weights


ENDLESS = Tensor(FP32, (1,), array("f", [1]))


def test_a_model_that_loops_is_stopped_when_its_time_is_over_and_answers_again(engine: str, tmp_path: Path) -> None:
    signature = Signature((Input("x", FP32, (-1,), "tensor"), Input("trips", INT64, (), "tensor")), VECTOR.outputs)
    model = load(engine, onnx_models.loop(tmp_path), signature)
    few, endless = (Tensor(INT64, (), array("q", [trips])) for trips in (5, 2**62))
    assert model.predict([ENDLESS, few], 100.0)[0].values() == [6]
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(PredictionTimeout, match="the model did not answer in time"):
            model.predict([ENDLESS, endless], 0.2)
        assert 0.15 < time.monotonic() - began < 60
        assert model.predict([ENDLESS, few], 100.0)[0].values() == [6]


def test_of_several_runs_only_the_late_one_is_stopped(engine: str, tmp_path: Path) -> None:
    signature = Signature((Input("x", FP32, (-1,), "tensor"), Input("trips", INT64, (), "tensor")), VECTOR.outputs)
    model = load(engine, onnx_models.loop(tmp_path), signature)

    def run(number: int) -> object:
        trips = 2**62 if number % 10 == 0 else number
        try:
            return model.predict([ENDLESS, Tensor(INT64, (), array("q", [trips]))], 0.1 if trips > 99 else 300.0)[
                0
            ].values()
        except PredictionTimeout:
            return "late"

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, range(100)))
    assert found == ["late" if number % 10 == 0 else [number + 1] for number in range(100)]


def test_a_model_that_was_loaded_before_a_fork_predicts_and_is_watched_in_the_child(
    engine: str, tmp_path: Path
) -> None:
    program = Path(__file__).with_name("forked.py")
    command = [sys.executable, str(program), engine, str(onnx_models.loop(tmp_path))]
    environ = os.environ | {"PYTHONPATH": str(program.parents[2] / "support")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split() == ["6.0", "late", "6.0"] * 2


def test_a_session_with_threads_that_was_made_before_a_fork_has_them_in_every_child(tmp_path: Path) -> None:
    file = tmp_path / "dense.onnx"
    mlp(file, widths=(256, 1024, 512, 3))
    program = Path(__file__).with_name("late.py")
    environ = os.environ | {"PYTHONPATH": str(program.parents[2] / "support")}
    command = [sys.executable, str(program), str(file), "256", "5"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=True)
    *children, parent = [line.split() for line in done.stdout.splitlines()]
    assert [line[:3] for line in children] == [["1", "1", "1"]] * 5  # the session's other thread is the caller
    assert parent[:3] == ["1", "0", "1"]
    assert len({line[3] for line in [*children, parent]}) == 1


def memory(field: str) -> int:
    """Bytes of this process's memory of one kind, without garbage; RssAnon has no pages of mapped files."""
    gc.collect()
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def test_many_runs_leave_no_memory_behind(engine: str) -> None:
    program = Path(__file__).with_name("growth.py")
    command = [sys.executable, str(program), engine, "50000"]
    environ = os.environ | {"PYTHONPATH": str(program.parents[2] / "support")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=900, check=True)
    assert int(done.stdout) < 1_000_000


def test_sessions_that_nobody_has_any_more_leave_no_memory_behind(engine: str, tmp_path: Path) -> None:
    size = 512
    signature = Signature((Input("x", FP32, (-1, size), "tensor"),), (Output("y", FP32, (-1, size), "tensor"),))
    file = onnx_models.multiplied(tmp_path, size)
    row = Tensor(FP32, (1, size), array("f", [1]) * size)
    before = 0
    for number in range(12):
        load(engine, file, signature, beside="weights.bin").predict([row], 30.0)
        with pytest.raises(ModelError, match="expected the input"):
            load(engine, file, PLAIN, beside="weights.bin")
        if number == 3:
            before = memory("VmRSS")
    assert memory("VmRSS") - before < 4 * size * size * 4
