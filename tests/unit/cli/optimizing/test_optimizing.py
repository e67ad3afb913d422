"""`pilotlight optimize`, on models that are really optimised and measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import models
from large_models import mlp, transformer
from models import run_onnx
from onnx_models import LOOKUP_GOLDEN, lookup, with_external_data
from pilotlight.model.lock import DEFAULT_SESSION, Session
from pilotlight_cli.formats.recognition import recognise
from pilotlight_cli.main import app
from pilotlight_cli.optimizing import Report, candidates, choice, optimize
from pilotlight_cli.sandbox.inspection import inspect
from pilotlight_cli.sandbox.job import UsageError

PLAIN = Session("off", prepacking=False)
ROUNDS = 5  # in which one that a hiccup of the machine's spoils decides nothing


def optimised(path: Path, folder: Path, **changes: Any) -> Report:
    options: dict[str, Any] = {"signature": None, "golden": None, "requests": 1, "rounds": 1, "step": lambda _: None}
    return optimize(path, folder, **options | changes)


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """For models that take a millisecond: no hiccup of the machine's is taken for a gain."""
    monkeypatch.setattr(choice, "_LEAST_MS", 1000.0)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, NDArray[Any]]]:
    """Return a dense network of 15 MB, and an input."""
    path = tmp_path_factory.mktemp("dense") / "dense.onnx"
    return path, mlp(path, widths=(1024, 2048, 768, 10))


@pytest.fixture(scope="module")
def report(dense: tuple[Path, Mapping[str, NDArray[Any]]]) -> Report:
    """Return the report of its optimisation for an instance that answers one request."""
    return optimised(dense[0], dense[0].parent / "made" / "here", rounds=ROUNDS)


def test_a_large_model_is_laid_out_to_be_mapped(report: Report) -> None:
    assert report.improved
    assert report.kept.candidate.session == PLAIN
    assert names(report.file.parent) == ["model.data", "model.onnx"]
    assert recognise(report.file).external_files == (report.file.parent / "model.data",)
    assert report.file.stat().st_size < 10_000


def test_large_tensors_begin_on_a_page(report: Report) -> None:
    model = onnx.load(report.file, load_external_data=False)
    places = [{entry.key: entry.value for entry in tensor.external_data} for tensor in model.graph.initializer]
    large = [int(place["offset"]) for place in places if int(place.get("length", 0)) > 1 << 20]
    assert len(large) == 2
    assert all(offset % 4096 == 0 for offset in large)


def test_a_session_of_it_takes_less_than_one_of_the_original(report: Report) -> None:
    original, kept = report.evaluations[0].measured, report.kept.measured
    assert kept.load_ms < 0.5 * original.load_ms
    assert kept.peak_bytes < original.peak_bytes


def test_every_form_was_measured_and_answers_alike(report: Report) -> None:
    assert [each.candidate.name for each in report.evaluations] == [
        "as it is",
        "optimised",
        "mapped",
        "mapped, not prepacked",
        "mapped, fitted at load",
    ]
    assert all(each.measured.agrees for each in report.evaluations)
    assert report.notes == ()


def test_the_answers_are_those_of_the_original(report: Report, dense: tuple[Path, Mapping[str, NDArray[Any]]]) -> None:
    path, feeds = dense
    assert np.allclose(run_onnx(report.file, feeds)["scores"], run_onnx(path, feeds)["scores"], atol=1e-6)


@pytest.fixture(scope="module", params=["whole", "external"])
def one_file(
    request: pytest.FixtureRequest, dense: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory
) -> Report:
    """Return the report of the network made one file, from one file or from one with external data."""
    folder = tmp_path_factory.mktemp("one")
    path = dense[0]
    if request.param == "external":
        path = folder / "dense.onnx"
        onnx.save(onnx.load(dense[0]), path, save_as_external_data=True, location="weights.bin")
    return optimised(path, folder / "out", rounds=ROUNDS, one_file=True)


def test_one_file_that_is_mapped_is_made_on_request(one_file: Report) -> None:
    assert [each.candidate.name for each in one_file.evaluations] == ["as it is", "one file", "one file, not prepacked"]
    assert all(each.measured.agrees for each in one_file.evaluations)
    assert one_file.notes == ()
    assert one_file.improved
    assert one_file.kept.candidate.session == PLAIN
    assert names(one_file.file.parent) == ["model.ort"]
    assert recognise(one_file.file).kind == "ort"
    assert one_file.kept.measured.load_ms < 0.5 * one_file.evaluations[0].measured.load_ms


def test_the_one_file_is_published_as_the_original_is(one_file: Report, dense: tuple[Path, Any]) -> None:
    found, plain = (
        inspect(path, format=None, signature=None, golden=None, allow=()) for path in (one_file.file, dense[0])
    )
    assert found.runtime == replace(plain.runtime, session=PLAIN)
    assert found.signature == plain.signature


def test_one_file_of_a_huge_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_LARGEST_IN_ONE_FILE", 100)
    with pytest.raises(UsageError, match=r"bytes, expected at most 100 for --one-file; leave it out"):
        optimised(models.plain_tensors(tmp_path), tmp_path / "out", one_file=True)


def test_the_one_file_is_not_optimised_again(one_file: Report, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.ort is in ONNX Runtime's own format; expected the ONNX model that"):
        optimised(one_file.file, tmp_path / "again")


def test_what_is_made_is_the_same_each_time(report: Report, dense: tuple[Path, Any], tmp_path: Path) -> None:
    again = optimised(dense[0], tmp_path / "again", rounds=ROUNDS)
    assert again.kept.candidate.session == report.kept.candidate.session
    for name in names(report.file.parent):
        assert (tmp_path / "again" / name).read_bytes() == (report.file.parent / name).read_bytes()


def test_publishing_it_asks_for_the_session_that_was_measured(report: Report) -> None:
    found = inspect(report.file, format=None, signature=None, golden=None, allow=())
    assert found.runtime.session == PLAIN
    assert [file.name for file in found.files] == ["model.onnx", "model.data"]


def test_it_is_not_optimised_again(report: Report, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"model\.onnx is already an output of this command; expected the original model"
    ):
        optimised(report.file, tmp_path / "again")
    assert names(tmp_path) == []


def test_the_graph_is_fused_for_any_processor(tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    transformer(path, layers=1, width=128, words=5000)

    report = optimised(path, tmp_path / "out")

    forms = [evaluation.candidate for evaluation in report.evaluations]
    assert len(forms) == 5
    if report.improved:
        operators = {(node.domain, node.op_type) for node in onnx.load(report.file).graph.node}
        assert ("com.microsoft", "SkipLayerNormalization") in operators
        assert not any(domain == "com.microsoft.nchwc" for domain, _ in operators)


def test_a_model_whose_tensors_lie_in_other_files_is_optimised_too(tmp_path: Path) -> None:
    feeds = mlp(tmp_path / "whole.onnx", widths=(1024, 2048, 768, 10))
    (tmp_path / "parts").mkdir()
    path = tmp_path / "parts" / "dense.onnx"
    onnx.save(onnx.load(tmp_path / "whole.onnx"), path, save_as_external_data=True, location="weights.bin")

    report = optimised(path, tmp_path / "out", rounds=ROUNDS)

    assert [each.candidate.name for each in report.evaluations].count("optimised") == 0
    assert names(tmp_path / "out") == ["model.data", "model.onnx"]
    assert np.allclose(run_onnx(report.file, feeds)["scores"], run_onnx(path, feeds)["scores"], atol=1e-6)


@pytest.mark.usefixtures("steady")
def test_where_nothing_is_gained_the_model_stays_as_it_is(tmp_path: Path) -> None:
    path = models.three_classes(tmp_path).files["onnx"]

    report = optimised(path, tmp_path / "out")

    assert not report.improved
    assert report.kept.candidate.session == DEFAULT_SESSION
    assert names(tmp_path / "out") == ["model.onnx"]
    assert (tmp_path / "out" / "model.onnx").read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("steady")
def test_a_model_that_stays_as_it_is_keeps_all_its_files(tmp_path: Path) -> None:
    vector = np.arange(4, dtype=np.float32).tobytes()
    (tmp_path / "vector.bin").write_bytes(vector)
    path = with_external_data(tmp_path, "vector.bin")

    optimised(path, tmp_path / "out")

    assert names(tmp_path / "out") == ["model.onnx", "vector.bin"]
    assert (tmp_path / "out" / "vector.bin").read_bytes() == vector
    assert (tmp_path / "out" / "model.onnx").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("one_file", [False, True])
def test_nothing_is_written_beside_the_model(one_file: bool, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "vector.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    path = with_external_data(given, "vector.bin")
    before = given.stat().st_mtime_ns
    report = optimised(path, tmp_path / "out", rounds=1, one_file=one_file)
    assert (len(report.evaluations), report.notes) == (3, ())
    assert given.stat().st_mtime_ns == before


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert optimised(models.plain_tensors(tmp_path), tmp_path / "out").file.is_file()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_nothing_is_overwritten(kind: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    kept = out if kind == "file" else out / "model.onnx"
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"out exists and is not an empty folder; choose another one"):
        optimised(models.plain_tensors(tmp_path), out)
    assert kept.read_bytes() == b"mine"


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    path = models.plain_tensors(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"ReduceSum", b"ReduceSun"))
    (tmp_path / "outs").mkdir()
    with pytest.raises(Exception, match="ReduceSun"):
        optimised(path, tmp_path / "outs" / "out")
    assert names(tmp_path / "outs") == []


def test_other_formats_are_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.pkl is a pickle file of scikit-learn; expected an ONNX model"):
        optimised(models.sample().files["pickle"], tmp_path / "out")


def test_tensors_in_a_file_that_is_called_as_the_model_will_be_are_refused(tmp_path: Path) -> None:
    path = with_external_data(tmp_path, "model.onnx").rename(tmp_path / "mine.onnx")
    (tmp_path / "model.onnx").write_bytes(bytes(16))
    with pytest.raises(UsageError, match=r"mine\.onnx keeps tensors in model\.onnx"):
        optimised(path, tmp_path / "out")


def run(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["optimize", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.usefixtures("steady")
def test_the_command_prints_a_table_and_what_it_decided(tmp_path: Path) -> None:
    path = lookup(tmp_path)
    (tmp_path / "golden.json").write_text(json.dumps(LOOKUP_GOLDEN))

    result = run(path, tmp_path / "out", "--rounds", 2, "--golden", tmp_path / "golden.json")

    header, *rows = [line.split() for line in result.stdout.splitlines()[:4]]
    assert header == ["form", "files", "load", "first", "warm", "memory", "apart", "ratio"]
    assert rows[0][:4] == [">", "as", "it", "is"]
    assert rows[0][-2:] == ["0", "1.00"]
    assert [row[0] for row in rows[1:]] == ["optimised", "not"]
    assert "medians of 2 rounds" in result.stdout
    assert f"No form is measurably faster: {tmp_path}/out/model.onnx is the model as it is" in result.stdout
    assert f"pilotlight publish {tmp_path}/out/model.onnx --name NAME --store URL" in result.stdout
    assert result.stderr == "Optimising model.onnx\n"


@pytest.mark.usefixtures("steady")
def test_the_report_is_there_for_other_programs(tmp_path: Path) -> None:
    found = json.loads(run(models.plain_tensors(tmp_path), tmp_path / "out", "--rounds", 1, "--json").stdout)

    assert (found["kept"], found["improved"], found["requests"], found["rounds"]) == ("as it is", False, 20, 1)
    assert found["model"] == str(tmp_path / "out" / "model.onnx")
    assert found["forms"][0]["session"] == {"graph_optimization": "all", "prepacking": True}
    assert found["forms"][0]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert [form["form"] for form in found["forms"]] == ["as it is", "optimised", "not prepacked"]


def test_the_command_ends_with_2_where_it_is_used_wrongly(tmp_path: Path) -> None:
    path = models.plain_tensors(tmp_path)
    assert "is not an empty folder" in run(path, tmp_path, code=2).stderr
    run(path, tmp_path / "out", "--requests", 0, code=2)
    run(path, code=2)
