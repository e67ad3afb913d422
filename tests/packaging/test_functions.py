"""The packages of AWS's functions beside the one that predicts, and what of the core comes with each."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight_cli import staging
from pilotlight_cli.assets import FUNCTIONS, ROOT
from pilotlight_cli.aws.release import release_digest
from pilotlight_cli.aws.template import effective_values, load_template
from pilotlight_cli.hostenv import group_packages, isolated_python
from pilotlight_cli.pinning.requirements import PYTHON_VERSION
from pilotlight_cli.staging.bytecode import has_bytecode, interpreter
from pilotlight_cli.staging.closure import imported_modules
from repository import LOCK, SAMPLE
from templates import of_type, released

LOADED = (
    "import sys, json, {modules}; print(json.dumps([name for name in sys.modules if name.startswith('pilotlight')]))"
)

# What the core imports at the first value that needs it.
ON_DEMAND = {"pilotlight.model.unusual"}

# What of the core the functions for records alone import.
RECORDS_CORE = {
    "pilotlight/codec/batches.py",
    *(
        f"pilotlight/records/{name}.py"
        for name in ("__init__", "bulk", "decode", "groups", "objects", "results", "score")
    ),
}

PROJECT = SAMPLE.relative_to(ROOT)


def quiet(_: str) -> None:
    pass


def build(function: str, out: Path, architecture: str = "x86_64") -> staging.Package:
    return staging.build("aws", LOCK, out, quiet, function=function, architecture=architecture)


def core(package: Path) -> set[str]:
    """Return the modules of the core in a package."""
    files = [file.relative_to(package).with_suffix("") for file in package.rglob("*.py")]
    return {".".join(file.parts).removesuffix(".__init__") for file in files if file.parts[0] == "pilotlight"}


def checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("function", ["hooks", "judge", "authorizer"])
def test_a_small_function_has_its_own_folder_and_exactly_the_core_that_it_loads(function: str, tmp_path: Path) -> None:
    package = build(function, tmp_path / function)
    own = {file.name for file in (FUNCTIONS / "aws" / function).glob("*.py")}
    assert {path.name for path in package.folder.iterdir()} - {"pilotlight", "__pycache__"} == own
    modules = ", ".join(sorted(Path(name).stem for name in own))
    path = os.pathsep.join(map(str, (package.folder, group_packages("lambda-runtime"))))
    environ = {"PYTHONPATH": path, "API_KEYS_PATH": "/keys", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [*isolated_python(), "-B", "-c", LOADED.format(modules=modules)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == core(package.folder) - ON_DEMAND
    assert package.size < 1_000_000


def test_each_function_gets_the_part_of_the_core_that_it_imports_and_no_more(tmp_path: Path) -> None:
    hooks, predict = (core(build(function, tmp_path / function).folder) for function in ("hooks", "predict"))
    assert "pilotlight.codec.golden_requests" in hooks & predict  # for the OpenAPI document's examples too
    assert {
        "pilotlight.service",
        "pilotlight.start.loading",
        "pilotlight.protocols.openapi.document",
    } <= predict - hooks


def test_the_function_for_records_has_the_predict_package_and_its_own_folder_and_predict_has_nothing_of_it(
    tmp_path: Path,
) -> None:
    predict, records = (build(function, tmp_path / function).folder for function in ("predict", "records"))
    own = {f"{file.stem}.py" for file in (FUNCTIONS / "aws" / "records").glob("*.py")}
    assert added_modules(predict, records) == own | RECORDS_CORE
    assert without_shadow(predict).keys() < checksums(records).keys()


def test_the_function_for_whole_buckets_fits_with_pyarrow_and_numpy(tmp_path: Path) -> None:
    package = build("batch", tmp_path / "batch")
    assert {"pyarrow", "numpy", "onnxruntime", "batch_handler.py", "handler.py"} <= {
        path.name for path in package.folder.iterdir()
    }
    assert package.size < 220_000_000
    python = interpreter()
    if python:
        imports = "import pyarrow.compute, pyarrow.csv, pyarrow.json, pyarrow.parquet, pilotlight.files.mapping"
        subprocess.run([python, "-B", "-c", imports], cwd=package.folder, check=True)


def without_shadow(predict: Path) -> dict[str, str]:
    """Return the checksums of a package's files but for the program that runs a shadow, which records have none of."""
    found = {name: digest for name, digest in checksums(predict).items() if Path(name).name.split(".")[0] != "child"}
    assert "pilotlight/shadow/child.py" in checksums(predict).keys() - found.keys()
    return found


def added_modules(predict: Path, records: Path) -> set[str]:
    return {name for name in checksums(records).keys() - checksums(predict).keys() if name.endswith(".py")}


def test_googles_function_for_records_is_the_predict_package_with_another_main_module(tmp_path: Path) -> None:
    predict, records = (
        staging.build("gcp", LOCK, tmp_path / function, quiet, function=function).folder
        for function in ("predict", "records")
    )
    own = {f"{file.stem}.py" for file in (FUNCTIONS / "gcp" / "records").glob("*.py")} - {"records_main.py"}
    assert added_modules(predict, records) == own | RECORDS_CORE
    assert (records / "main.py").read_bytes() == (FUNCTIONS / "gcp" / "records" / "records_main.py").read_bytes()
    before, after = without_shadow(predict), checksums(records)
    assert {name for name in before if before[name] != after[name]} == {"main.py", ".gcloudignore"}


@pytest.mark.parametrize("function", ["hooks", "judge", "authorizer"])
def test_a_small_package_is_the_same_wherever_it_is_built(function: str, tmp_path: Path) -> None:
    first, second = (build(function, tmp_path / place / function) for place in ("here", "elsewhere"))
    assert checksums(first.folder) == checksums(second.folder)
    assert has_bytecode(first.folder) == bool(interpreter())


def test_libraries_come_for_the_processor_that_is_asked_for(tmp_path: Path) -> None:
    arm = build("predict", tmp_path / "arm", "arm64").folder
    libraries = [path.read_bytes()[:20] for path in arm.rglob("*.so")]
    assert {header[18:20] for header in libraries} == {b"\xb7\x00"}  # e_machine in ELF: AArch64
    x86 = build("predict", tmp_path / "x86").folder
    assert {path.name for path in arm.glob("*.dist-info")} == {path.name for path in x86.glob("*.dist-info")}


def test_a_function_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        staging.BuildError, match=r"has no function 'hook'; it has authorizer, batch, hooks, judge, predict, records"
    ):
        build("hook", tmp_path / "hook")


def test_a_folder_with_something_else_in_it_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(staging.BuildError, match="is not empty and has no package of the function authorizer"):
        build("authorizer", tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_an_empty_folder_and_an_older_package_are_replaced(tmp_path: Path) -> None:
    out = tmp_path / "authorizer"
    out.mkdir()
    build("authorizer", out)
    (out / "older.py").touch()
    build("authorizer", out)
    assert not (out / "older.py").exists()


def test_bytecode_of_another_python_is_none(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "handler.py").touch()
    (tmp_path / "__pycache__/handler.cpython-39.pyc").touch()
    assert not has_bytecode(tmp_path)
    (tmp_path / f"__pycache__/handler.cpython-{PYTHON_VERSION.replace('.', '')}.pyc").touch()
    assert has_bytecode(tmp_path)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Return a package `core` whose modules import one another."""
    folder = tmp_path / "core"
    (folder / "deep").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "a.py": "from core import b",
        "b.py": "from core.deep.c import value\nfrom core.a import b",
        "types_only.py": "",
        "lazy.py": "",
        "unused.py": "",
        "deep/__init__.py": "",
        "deep/c.py": "import json, other.thing\nvalue = 1",
    }.items():
        (folder / name).write_text(text)
    return folder


def reached(library: Path, source: str) -> list[str]:
    file = library.parent / "main.py"
    file.write_text(source)
    return [str(found.relative_to(library)) for found in imported_modules([file], library)]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import json", []),
        ("import core", ["__init__.py"]),
        ("import core.deep.c as c", ["__init__.py", "deep/__init__.py", "deep/c.py"]),
        ("from core import a", ["__init__.py", "a.py", "b.py", "deep/__init__.py", "deep/c.py"]),
        ("def f():\n    if f:\n        from core import lazy", ["__init__.py", "lazy.py"]),
        ("if TYPE_CHECKING:\n    from core import types_only\nelse:\n    import core", ["__init__.py"]),
    ],
)
def test_a_module_comes_with_all_that_it_imports_wherever_it_does(library: Path, source: str, names: list[str]) -> None:
    assert reached(library, source) == names


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("from . import a", "main.py, line 1: found a relative import"),
        ("\n\nfrom from", "main.py, line 3: invalid syntax"),
    ],
)
def test_a_source_that_cannot_be_followed_is_named(library: Path, source: str, message: str) -> None:
    with pytest.raises(staging.BuildError, match=message):
        reached(library, source)


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the working copy in two folders, without what was built there; each has built its package itself."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "cli", "shared", "functions", "examples"]
    names = subprocess.run(
        [*listed, "template.yaml", "bootstrap.yaml"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folders = [tmp_path_factory.mktemp("tree") / name for name in ("one", "another place")]
    for folder in folders:
        for name in names:
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes((ROOT / name).read_bytes())
        environ = os.environ | {"PYTHONPATH": f"{folder / 'cli'}{os.pathsep}{folder / 'shared'}"}
        command = [sys.executable, "-m", "pilotlight_cli.main", "build", "--cloud", "aws"]
        subprocess.run(command, cwd=folder / PROJECT, env=environ, capture_output=True, check=True)
    return folders


def test_two_builds_of_an_unchanged_tree_have_equal_checksums_and_give_the_same_version(trees: list[Path]) -> None:
    packages = [folder / PROJECT / "build/aws" for folder in trees]
    assert checksums(packages[0]) == checksums(packages[1])
    templates = [load_template(folder / "template.yaml") for folder in trees]
    digests = [
        release_digest(template, package, effective_values(template, {}))
        for template, package in zip(templates, packages, strict=True)
    ]
    versions = [of_type(released(ReleaseDigest=digest), "AWS::Lambda::Version") for digest in digests]
    assert digests[0] == digests[1]
    assert versions[0] == versions[1]
