"""The large models' part of the benchmark, with a small one."""

from __future__ import annotations

import json
from functools import partial

import pytest

import file_cache
import large
import packages
from figures import Measured
from large import agree, measured_loads
from large_models import mlp
from model_files import ModelFiles, found, make
from pilotlight.model.lock import load_lock
from progress import Watch


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    folder = tmp_path_factory.mktemp("model")
    make("mlp", partial(mlp, widths=(8, 64, 4)), folder)
    return found("mlp", "a small MLP", folder)


def test_both_forms_of_a_model_are_loaded_and_give_the_same_numbers(files: ModelFiles) -> None:
    watch = Watch(60, lambda _: None, lambda: 0.0)

    rounds = measured_loads(files, packages.functions_python(), 1, watch)["all-warm"]

    (measured,) = rounds
    assert list(measured) == ["default", "pilotlight"]
    assert all(each["first_run"] > 0 and each["warm_run"] > 0 for each in measured.values())
    assert all(each["peak"] > 20_000_000 for each in measured.values())  # ONNX Runtime is in it


def test_files_are_in_the_cache_where_they_are_said_to_be(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    load = large._load

    def logged(loaded: large._Loaded) -> tuple[Measured, list[float]]:
        done.append("load")
        return load(loaded)

    monkeypatch.setattr(large, "_load", logged)
    monkeypatch.setattr(file_cache, "drop", lambda _: done.append("drop"))

    measured_loads(files, packages.functions_python(), 2, Watch(60, lambda _: None, lambda: 0.0))

    warm, cold = ["load", "load"] * 2, ["drop", "load"] * 2
    assert done == ["load", "load", *(warm + cold) * 2]  # each once at first, to hold their answers against one another


def test_the_plain_file_and_the_optimised_model_lie_in_one_store(files: ModelFiles) -> None:
    model = load_lock(files.lock).model

    assert (files.models / files.key).read_bytes() == files.plain.read_bytes()
    assert all((files.models / model.key(file.name)).stat().st_size == file.size for file in model.files)


def test_a_model_is_asked_in_the_open_inference_protocol(files: ModelFiles) -> None:
    path, document = files.request()

    (tensor,) = document["inputs"]
    assert path == "/v2/models/mlp/infer"
    assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("features", "FP32", [1, 8])
    assert len(tensor["data"]) == 8


def test_an_optimised_graph_may_answer_a_little_otherwise() -> None:
    def body(value: float) -> bytes:
        return json.dumps({"outputs": [{"data": [0.0, value]}]}).encode()

    assert agree(body(1.0), body(1.00005))
    assert not agree(body(1.0), body(1.001))
