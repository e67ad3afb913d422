"""The deployable folders: what is in them, how large they are, and that the same tree gives the same bytes."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from harness import Pinned, in_lambda, pinned, stored
from pilotlight.errors import FormatError
from pilotlight.model.lock import load_lock
from pilotlight_cli import staging
from pilotlight_cli.assets import FUNCTIONS
from pilotlight_cli.hostenv import host_packages, isolated_python
from pilotlight_cli.pinning.pin import LockMismatch
from pilotlight_cli.pinning.requirements import PYTHON_VERSION, pins
from pilotlight_cli.staging.bytecode import compile_all, interpreter
from pilotlight_cli.staging.libraries import requirements
from pilotlight_cli.staging.package import MAX_BYTES
from repository import LOCK, SAMPLE

OLDER = "1.7.2"

SERVE = """
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from pilotlight.boot import Platform, boot
from pilotlight.http.messages import Request
folder = Path(sys.argv[1])
platform = Platform(folder, {}, lambda level, namespace: lambda record: None, 60.0, time.monotonic())
service, _ = boot(platform, os.environ)
headers = {"content-type": "application/json"}
reply = service.handle(Request("POST", "/predict_batch", headers, sys.argv[2].encode()))
assert reply.status == 200, reply.body
print(reply.body.decode())
"""

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


def installed(package: staging.Package) -> set[str]:
    """Return the libraries in a package by their names on PyPI."""
    return {path.name.partition("-")[0].lower().replace("_", "-") for path in package.folder.glob("*.dist-info")}


def test_for_the_c_api_a_package_holds_its_library_and_nothing_that_the_binding_needs(aws: staging.Package) -> None:
    assert load_lock(LOCK).model.runtime.engine == "onnxruntime-c"
    assert installed(aws) == {"onnxruntime", "orjson"}
    code = {path.name for path in (aws.folder / "onnxruntime").rglob("*") if ".so" in path.name or ".py" in path.name}
    assert code == {f"libonnxruntime.so.{load_lock(LOCK).model.runtime.packages['onnxruntime']}"}


def test_for_any_other_engine_a_package_holds_exactly_what_is_pinned(packed: tuple[Pinned, staging.Package]) -> None:
    model, package = packed
    text = model.lock.with_name("requirements.lock").read_text()
    if model.model.runtime.engine != "onnxruntime-c":
        assert installed(package) == set(pins(text))
        assert not list(package.folder.rglob("libonnxruntime.so*"))


def test_googles_builder_gets_hashed_requirements_of_the_model_and_the_framework(gcp: staging.Package) -> None:
    text = (gcp.folder / "requirements.txt").read_text()
    assert {"functions-framework", "gunicorn", "orjson"} <= pins(text).keys()
    assert text.count("--hash=sha256:") >= len(pins(text))


def test_googles_package_holds_the_library_and_leaves_out_what_the_function_does_not_import(
    gcp: staging.Package, tmp_path: Path
) -> None:
    """The builder can install onnxruntime only whole, with numpy and protobuf. Google's client is there on demand."""
    unused = {"google-cloud-storage", "numpy", "onnxruntime", "protobuf", "scikit-learn"}
    assert not unused & pins((gcp.folder / "requirements.txt").read_text()).keys()
    assert list(gcp.folder.glob("onnxruntime/capi/libonnxruntime.so.*"))
    with_client = staging.build("gcp", LOCK, tmp_path / "gcp", quiet, client=True)
    assert {"google-cloud-storage"} <= pins((with_client.folder / "requirements.txt").read_text()).keys()


def test_the_package_stays_below_lambdas_limit(aws: staging.Package) -> None:
    assert aws.size == sum(path.stat().st_size for path in aws.folder.rglob("*") if path.is_file())
    assert sum(size for _, size in aws.parts) == aws.size < MAX_BYTES


def test_a_package_over_the_limit_is_refused_with_its_largest_parts(tmp_path: Path) -> None:
    with pytest.raises(staging.BuildError, match=r"(?s)expected at most 1.0 MB.*MB  onnxruntime\n"):
        staging.build("aws", LOCK, tmp_path / "aws", quiet, limit=1_000_000)
    assert not list(tmp_path.iterdir())


def test_the_same_tree_gives_the_same_bytes_wherever_it_is_built(
    aws: staging.Package, gcp: staging.Package, tmp_path: Path
) -> None:
    for package in (aws, gcp):
        again = staging.build(package.cloud, LOCK, tmp_path / "elsewhere" / package.cloud, quiet)
        assert files(again.folder) == files(package.folder)


@pytest.fixture(
    scope="module", params=["onnx onnxruntime-c", "onnx onnxruntime-python", "pkl scikit-learn", "skops scikit-learn"]
)
def packed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pinned, staging.Package]:
    """Return the sample model in each format and on each engine: pinned, and its package."""
    folder = tmp_path_factory.mktemp("packed")
    form, engine = request.param.split()
    model = pinned(SAMPLE / f"model.{form}", "sample", folder, engine=engine)
    return model, staging.build("aws", model.lock, folder / "aws", quiet)


def test_a_package_on_any_engine_stays_below_its_budget(packed: tuple[Pinned, staging.Package]) -> None:
    _, package = packed
    assert package.size < package.budget < MAX_BYTES


def test_a_package_on_any_engine_serves_its_model_on_the_functions_python_with_nothing_beside_it(
    packed: tuple[Pinned, staging.Package], tmp_path: Path
) -> None:
    model, package = packed
    if not package.bytecode:
        pytest.skip(f"there is no Python {PYTHON_VERSION} on this machine")
    body = json.dumps({"instances": [[10.0 + row] * 30 for row in range(3)]})
    environ = {"PILOTLIGHT_STORE": model.store.url, "TMPDIR": str(tmp_path)}
    command = [package.bytecode, "-I", "-S", "-B", "-W", "error", "-c", SERVE, str(package.folder), body]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert document["model_name"] == "sample"
    assert len(document["predictions"]) == 3
    assert [sum(row) for row in document["probabilities"]] == pytest.approx([1.0] * 3, abs=1e-6)


def test_a_package_has_neither_tests_nor_sources_of_its_libraries(packed: tuple[Pinned, staging.Package]) -> None:
    _, package = packed
    left = [path.relative_to(package.folder) for path in (package.folder / "numpy").rglob("*") if path.is_file()]
    assert not {path.suffix for path in left} & {".pyi", ".pxd", ".h", ".c", ".f90", ".a"}
    assert not [path for path in left if "tests" in path.parts and not path.name.startswith("_natype.")]


def test_lambdas_user_can_read_all_that_a_strict_umask_made(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        package = staging.build("gcp", LOCK, tmp_path / "gcp", quiet)
    finally:
        os.umask(before)
    for path in (package.folder, *package.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)
    assert len({path.stat().st_mtime for path in package.folder.rglob("*")}) == 1


PINNED_FILES = ("model.lock", "golden.json", "requirements.lock")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with what `pin` wrote for the sample."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in PINNED_FILES:
        (folder / name).write_bytes((LOCK.parent / name).read_bytes())
    return folder


def test_the_files_that_pin_wrote_go_into_the_package(checkout: Path, tmp_path: Path) -> None:
    package = staging.build("gcp", checkout / "model.lock", tmp_path / "out", quiet)
    for name in PINNED_FILES:
        assert (package.folder / name).read_bytes() == (checkout / name).read_bytes()


@pytest.mark.parametrize(("name", "error"), [("requirements.lock", LockMismatch), ("golden.json", FormatError)])
def test_a_file_that_was_not_written_with_the_lock_is_refused(
    name: str, error: type[Exception], checkout: Path, tmp_path: Path
) -> None:
    with (checkout / name).open("a") as file:
        file.write("\n")
    with pytest.raises(error, match=rf"{name}:? .*expected.*run 'pilotlight pin .*' again"):
        staging.build("gcp", checkout / "model.lock", tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["requirements.lock", "golden.json"])
def test_a_file_that_is_missing_beside_the_lock_is_named(name: str, checkout: Path, tmp_path: Path) -> None:
    (checkout / name).unlink()
    with pytest.raises(FormatError, match=rf"{name}, which belongs to model.lock.*run 'pilotlight pin' again"):
        staging.build("gcp", checkout / "model.lock", tmp_path / "out", quiet)


def test_libraries_that_cannot_be_installed_end_the_build_with_the_reason(checkout: Path, tmp_path: Path) -> None:
    text = (checkout / "requirements.lock").read_text()
    altered = re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", text)
    (checkout / "requirements.lock").write_text(altered)
    lock = (checkout / "model.lock").read_text()
    old, new = (hashlib.sha256(one.encode()).hexdigest() for one in (text, altered))
    (checkout / "model.lock").write_text(lock.replace(old, new))
    with pytest.raises(staging.BuildError, match="(?s)cannot be installed.*[Hh]ash"):
        staging.build("aws", checkout / "model.lock", tmp_path / "out", quiet)


def test_a_library_that_the_model_and_the_framework_pin_differently_is_named(checkout: Path) -> None:
    file = checkout / "requirements.lock"
    file.write_text(re.sub(r"(?m)^protobuf==[^ ]+", "protobuf==6.0.0", file.read_text()))
    with pytest.raises(FormatError, match=r"requirements.lock pins protobuf==6.0.0 and .* pins protobuf==\d.*again"):
        requirements("gcp", checkout / "model.lock")


def test_on_a_gpu_the_same_server_has_the_librarys_wheel_for_cuda(tmp_path: Path) -> None:
    server, gpu = (
        staging.build("container", LOCK, tmp_path / function, quiet, function=function).folder
        for function in ("predict", "gpu")
    )
    usual, cuda = (pins((folder / "requirements.txt").read_text()) for folder in (server, gpu))
    own = cuda.keys() - usual.keys()
    assert usual.keys() - cuda.keys() == {"onnxruntime"}
    assert cuda.pop("onnxruntime-gpu") == usual.pop("onnxruntime")
    assert all(name.startswith("nvidia-") for name in own - {"onnxruntime-gpu"})
    assert {name: version for name, version in cuda.items() if name in usual} == usual
    assert {path.name for path in gpu.iterdir()} == {path.name for path in server.iterdir()}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("onnxruntime-c", "onnxruntime-python", "engine onnxruntime-python, expected onnxruntime-c"),
        (r'"onnxruntime": "[\d.]+"', '"onnxruntime": "1.30.0"', r"onnxruntime 1\.30\.0, expected 1\.\d+\.\d+"),
    ],
)
def test_a_model_that_no_gpu_runs_is_refused_with_the_reason(old: str, new: str, message: str, checkout: Path) -> None:
    lock = checkout / "model.lock"
    text, count = re.subn(old, new, lock.read_text())
    assert count
    lock.write_text(text)
    with pytest.raises(staging.BuildError, match=message):
        requirements("container", lock, "gpu")


def test_what_does_not_compile_ends_the_build_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def broken(:\n")
    if not interpreter():
        pytest.skip(f"there is no Python {PYTHON_VERSION} on this machine")
    with pytest.raises(staging.BuildError, match=r"(?s)does not compile.*broken.py.*SyntaxError"):
        compile_all(tmp_path, quiet)


def test_handlers_are_thin() -> None:
    for file in ("aws/predict/handler.py", "gcp/predict/main.py", "gcp/records/records_main.py"):
        text = (FUNCTIONS / file).read_text()
        assert 30 <= len(text.splitlines()) <= 60
        assert len([node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]) == 1


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pinned, list[list[float]], list[list[float]]]:
    """Return a pickle by another minor version of scikit-learn, pinned; rows, and that version's own answers."""
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
    assert package.size < MAX_BYTES
    assert (package.folder / f"scikit_learn-{OLDER}.dist-info").is_dir()
    assert not (package.folder / "onnxruntime").exists()


def test_a_pickle_of_another_minor_version_answers_like_that_version(
    older: tuple[Pinned, list[list[float]], list[list[float]]],
) -> None:
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
