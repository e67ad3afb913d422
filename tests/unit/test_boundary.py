"""What `shared/` and `bench/` may import, and what a test of the core does."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
CORE = PROJECT / "shared" / "pilotlight"

# What turns an artifact into a model, and nothing else. No provider's SDK, no web framework.
RUNTIME_LIBRARIES = {"numpy", "onnxruntime", "scipy", "sklearn", "skops"}
RUNTIME_ROOMS = ("pickles", "runtimes")

# What a large body is read by, where it is there.
PARSERS = {"json_fast.py": {"orjson"}}


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
