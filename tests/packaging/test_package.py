"""The deployable folders: what is in them, how large they are, and that the same tree gives the same bytes."""

from __future__ import annotations

import ast
import hashlib
import subprocess
from pathlib import Path

import pytest

from harness import Pinned, in_lambda, pinned, stored
from pilotlight_cli import staging
from pilotlight_cli.hostenv import host_packages, isolated_python
from pilotlight_cli.locking import LockMismatch
from pilotlight_cli.project import FUNCTIONS, LOCK
from pilotlight_cli.requirements import pins

OLDER = "1.7.2"

TRAIN = """
import json, pickle, sys
import numpy, sklearn
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
data = load_iris()
model = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=5, random_state=0))
model.fit(data.data, data.target)
open(sys.argv[1], "wb").write(pickle.dumps(model))
rows = numpy.random.default_rng(int(sys.argv[2])).uniform(0, 8, (20, 4))
print(json.dumps([sklearn.__version__, rows.tolist(), model.predict_proba(rows).tolist()]))
"""


def files(folder: Path) -> dict[str, str]:
    """Every file's digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> staging.Package:
    return staging.build("aws", LOCK, tmp_path_factory.mktemp("one") / "aws", quiet)


@pytest.fixture(scope="module")
def gcp(tmp_path_factory: pytest.TempPathFactory) -> staging.Package:
    return staging.build("gcp", LOCK, tmp_path_factory.mktemp("one") / "gcp", quiet)


def test_what_lies_in_the_function_folder_lands_at_the_root_beside_the_core(aws: staging.Package) -> None:
    sources = {file.name for file in (FUNCTIONS / "aws/predict").glob("*.py")}
    names = {path.name for path in aws.folder.iterdir()}
    assert names >= sources | {"pilotlight", "model.lock", "golden.json"}
    assert (aws.folder / "model.lock").read_bytes() == LOCK.read_bytes()


def test_no_providers_code_ships_to_the_other(aws: staging.Package, gcp: staging.Package) -> None:
    aws_names, gcp_names = ({path.stem for path in package.folder.glob("*.py")} for package in (aws, gcp))
    assert not aws_names & gcp_names
    assert not list(aws.folder.rglob("pilotlight_cli")) + list(gcp.folder.rglob("pilotlight_cli"))


def test_the_lambda_package_holds_exactly_what_is_pinned(aws: staging.Package) -> None:
    installed = {path.name.partition("-")[0].lower().replace("_", "-") for path in aws.folder.glob("*.dist-info")}
    assert installed == set(pins((LOCK.parent / "requirements.lock").read_text()))


def test_googles_builder_gets_hashed_requirements_of_the_model_and_the_framework(gcp: staging.Package) -> None:
    text = (gcp.folder / "requirements.txt").read_text()
    assert {"functions-framework", "google-cloud-storage", "gunicorn", "onnxruntime"} <= pins(text).keys()
    assert "scikit-learn" not in pins(text)
    assert text.count("--hash=sha256:") >= len(pins(text))


def test_the_package_stays_below_lambdas_limit(aws: staging.Package) -> None:
    assert aws.size == sum(path.stat().st_size for path in aws.folder.rglob("*") if path.is_file())
    assert sum(size for _, size in aws.parts) == aws.size < staging.MAX_BYTES


def test_a_package_over_the_limit_is_refused_with_its_largest_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(staging, "MAX_BYTES", 1_000_000)
    with pytest.raises(staging.BuildError, match=r"(?s)AWS Lambda takes 1.0 MB.*MB  onnxruntime\n"):
        staging.build("aws", LOCK, tmp_path / "aws", quiet)
    assert not list(tmp_path.iterdir())


def test_the_same_tree_gives_the_same_bytes_wherever_it_is_built(
    aws: staging.Package, gcp: staging.Package, tmp_path: Path
) -> None:
    for package in (aws, gcp):
        again = staging.build(package.cloud, LOCK, tmp_path / "elsewhere" / package.cloud, quiet)
        assert files(again.folder) == files(package.folder)


def test_the_package_imports_on_the_functions_own_python(aws: staging.Package) -> None:
    if not aws.bytecode:
        pytest.skip("there is no Python of the functions' version on this machine")
    code = "import sys; sys.path.insert(0, '.'); import pilotlight.boot, onnxruntime; print(onnxruntime.__version__)"
    command = [aws.bytecode, "-I", "-S", "-B", "-c", code]
    done = subprocess.run(command, cwd=aws.folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == pins((LOCK.parent / "requirements.lock").read_text())["onnxruntime"]


def test_requirements_that_were_not_written_with_the_lock_are_refused(tmp_path: Path) -> None:
    for name in ("model.lock", "golden.json", "requirements.lock"):
        (tmp_path / name).write_bytes((LOCK.parent / name).read_bytes())
    with (tmp_path / "requirements.lock").open("a") as file:
        file.write("\n")
    with pytest.raises(LockMismatch):
        staging.build("aws", tmp_path / "model.lock", tmp_path / "out", quiet)


def test_handlers_are_thin() -> None:
    for file in ("aws/predict/handler.py", "gcp/predict/main.py"):
        text = (FUNCTIONS / file).read_text()
        assert 30 <= len(text.splitlines()) <= 60
        assert len([node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]) == 1


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pinned, list[list[float]], list[list[float]]]:
    """A pickle by another minor version of scikit-learn, pinned; rows, and that version's own answers."""
    import json

    folder = tmp_path_factory.mktemp("older")
    environ = {"PYTHONPATH": str(host_packages([f"scikit-learn=={OLDER}"]))}
    command = [*isolated_python(), "-c", TRAIN, str(folder / "model.pkl"), "7"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    version, rows, expected = json.loads(done.stdout)
    assert version == OLDER
    return pinned(folder / "model.pkl", "older", folder), rows, expected


def test_a_pickle_of_another_minor_version_is_pinned_to_that_version_and_fits(
    older: tuple[Pinned, list[list[float]], list[list[float]]], tmp_path: Path
) -> None:
    model, _, _ = older
    assert model.model.runtime.packages["scikit-learn"] == OLDER
    package = staging.build("aws", model.lock, tmp_path / "aws", quiet)
    assert package.size < staging.MAX_BYTES
    assert (package.folder / f"scikit_learn-{OLDER}.dist-info").is_dir()
    assert not (package.folder / "onnxruntime").exists()


def test_a_pickle_of_another_minor_version_answers_like_that_version(
    older: tuple[Pinned, list[list[float]], list[list[float]]],
) -> None:
    import json

    from drivers import lambda_function
    from pilotlight_cli.local.events import http_api_event

    model, rows, expected = older
    with stored("aws", model) as store, in_lambda(model, store) as runtime:
        send = lambda_function(runtime.invoke, http_api_event)
        reply = send("POST", "/predict_batch", {}, json.dumps({"instances": rows}).encode())
    found = json.loads(reply.body)["probabilities"]
    assert len(found) == len(rows)
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx(wanted, abs=1e-12)
