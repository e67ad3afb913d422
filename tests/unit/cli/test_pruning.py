from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight_cli.pruning import prune

BINDING = "onnxruntime/capi/onnxruntime_pybind11_state.cpython-313-x86_64-linux-gnu.so"
C_LIBRARY = "onnxruntime/capi/libonnxruntime.so.1.31.1"
PROVIDERS = "onnxruntime/capi/libonnxruntime_providers_shared.so"


def left(folder: Path, *names: str, content: bytes = b"") -> set[str]:
    """What pruning leaves of those files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    prune(folder)
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name",
    ["numpy/tests/test_lib.py", "joblib/test/data/x.gz", "numpy/__init__.pyi", "numpy/_core/include/numpy/ndarray.h"],
)
def test_tests_stubs_and_headers_go_with_their_folders(name: str, tmp_path: Path) -> None:
    assert left(tmp_path, name, "numpy/version.py", "joblib/pool.py") == {"numpy/version.py", "joblib/pool.py"}
    assert not (tmp_path / name).parent.exists() or (tmp_path / name).parent.name == "numpy"


@pytest.mark.parametrize("name", ["other/test/x.py", "pilotlight/runtimes/x.pyi", "numpy/testing/x.py", "tests/x.py"])
def test_what_is_not_known_to_be_superfluous_stays(name: str, tmp_path: Path) -> None:
    assert left(tmp_path, name) == {name}


def test_what_numpys_testing_module_imports_stays(tmp_path: Path) -> None:
    kept = "numpy/_core/tests/_natype.py"
    assert left(tmp_path, kept, "numpy/_core/tests/test_dtype.py") == {kept}


def test_onnxruntimes_library_for_c_goes(tmp_path: Path) -> None:
    assert left(tmp_path, BINDING, C_LIBRARY, PROVIDERS) == {BINDING, PROVIDERS}


def test_a_library_that_the_binding_links_stays(tmp_path: Path) -> None:
    assert left(tmp_path, BINDING, C_LIBRARY, content=b"\0libonnxruntime.so.1\0") == {BINDING, C_LIBRARY}
