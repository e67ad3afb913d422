"""What `shared/` and `bench/` may import, and what a test of the core does."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CORE = PROJECT / "shared" / "pilotlight"

# What turns an artifact into a model, and nothing else. No provider's SDK, no web framework.
RUNTIME_LIBRARIES = {"numpy", "onnxruntime", "scipy", "sklearn", "skops"}
RUNTIME_ROOMS = ("pickles", "runtimes")

# What reads and writes files of rows; a function has neither.
FILE_LIBRARIES = {"numpy", "pyarrow"}

# What bodies are read by, where it is there.
PARSERS = {"json_fast.py": {"orjson"}}

# What takes longer to import than most tests take.
SLOW_IMPORTS = {
    *(
        "boto3",
        "flask",
        "google.cloud.storage",
        "hypothesis",
        "jsonschema",
        "moto",
        "numpy",
        "onnx",
        "onnxruntime",
        "pandas",
        "pyarrow",
    ),
    *("requests", "samtranslator", "selenium", "skl2onnx", "sklearn", "skops", "trio"),
}

# Files and folders of tests that start at once, by the slow libraries that they are about.
QUICK_TESTS = {
    "": """
        codec/test_golden_requests.py fetch http model/test_lock.py protocols/test_mlflow.py protocols/test_v1.py
        protocols/test_v2.py protocols/test_v2_binary.py runtimes/test_watchdog.py start test_boot.py test_settings.py
        test_telemetry.py cli/aws/test_changes.py cli/aws/test_costs.py cli/aws/test_release.py cli/staging
        cli/registry/test_repository.py cli/sandbox/test_isolation.py cli/stores/test_arrivals.py
        cli/stores/test_emulator.py cli/stores/test_folder.py cli/stores/test_stores.py
    """,
    "requests": "cli/local",
    "boto3": """
        cli/aws/test_bootstrap_stack.py cli/aws/test_commands.py cli/aws/test_compare.py cli/aws/test_keys.py
        cli/aws/test_prune.py cli/aws/test_stacks.py cli/stores/test_s3.py
    """,
}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_the_core_imports_the_standard_library_and_itself() -> None:
    for file in CORE.rglob("*.py"):
        others = imported(file) - set(sys.stdlib_module_names) - {"pilotlight"}
        room = file.relative_to(CORE).parts[0]
        allowed = RUNTIME_LIBRARIES if room in RUNTIME_ROOMS else PARSERS.get(file.name, set())
        allowed = FILE_LIBRARIES if room == "files" else allowed
        assert others <= allowed, f"{file.relative_to(CORE)} imports {others - allowed}"


def test_module_names_are_unique_over_the_function_folders_and_shadow_nothing() -> None:
    folders = sorted((PROJECT / "functions").glob("*/*"))
    modules = [file.stem for folder in folders for file in folder.glob("*.py")]
    assert len(folders) >= 2
    assert len(set(modules)) == len(modules)
    assert not set(modules) & (set(sys.stdlib_module_names) | {"pilotlight"})


def test_the_bench_imports_nothing_of_the_tests() -> None:
    theirs = {path.stem for path in (PROJECT / "tests" / "support").iterdir()}
    assert "doubles" in theirs
    for file in (PROJECT / "bench").rglob("*.py"):
        assert not imported(file) & theirs, file


def test_a_test_of_the_core_waits_for_no_library_of_other_tests() -> None:
    program = "import pytest, sys; sys.exit(pytest.main(['tests/unit/http/test_routes.py']) or print(*sys.modules))"
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=environ, check=True, capture_output=True, text=True
    )
    modules = set(done.stdout.split())
    assert "pilotlight.http.routes" in modules
    assert not modules & {"boto3", "flask", "hypothesis", "moto", "numpy", "onnx", "requests", "selenium", "trio"}


@pytest.mark.parametrize("needed", QUICK_TESTS)
def test_collecting_tests_imports_no_library_that_only_other_tests_need(needed: str) -> None:
    names = [f"tests/unit/{name}" for name in QUICK_TESTS[needed].split()]
    program = "import pytest, sys; sys.exit(pytest.main(sys.argv[1:]) or print('imported', *sys.modules))"
    command = [sys.executable, "-c", program, "--collect-only", *names]
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=PROJECT, env=environ, check=True, capture_output=True, text=True)
    mark, *modules = done.stdout.splitlines()[-1].split()
    assert (mark, "pytest" in modules) == ("imported", True)
    assert SLOW_IMPORTS & set(modules) <= {needed}
