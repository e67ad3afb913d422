from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight.model.formats import ENGINES
from pilotlight_cli.staging.trim import prune

BINDING = "onnxruntime/capi/onnxruntime_pybind11_state.cpython-313-x86_64-linux-gnu.so"
C_LIBRARY = "onnxruntime/capi/libonnxruntime.so.1.31.1"
PROVIDERS = "onnxruntime/capi/libonnxruntime_providers_shared.so"


def left(folder: Path, *names: str, content: bytes = b"", engine: str = "onnxruntime-python") -> set[str]:
    """Return what pruning leaves of those files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    prune(folder, ENGINES[engine])
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


def test_onnxruntimes_library_for_c_goes_where_the_binding_serves(tmp_path: Path) -> None:
    assert left(tmp_path, BINDING, C_LIBRARY, PROVIDERS) == {BINDING, PROVIDERS}


def test_onnxruntimes_tools_go_on_either_engine(tmp_path: Path) -> None:
    tools = ("onnxruntime/transformers/optimizer.py", "onnxruntime/tools/qnn/x.json", "onnxruntime/datasets/y.onnx")
    assert left(tmp_path, BINDING, *tools, "onnxruntime/__init__.py") == {BINDING, "onnxruntime/__init__.py"}


def test_a_library_that_the_binding_links_stays(tmp_path: Path) -> None:
    assert left(tmp_path, BINDING, C_LIBRARY, content=b"\0libonnxruntime.so.1\0") == {BINDING, C_LIBRARY}


def test_of_onnxruntime_the_library_and_its_licence_stay_where_the_c_api_serves(tmp_path: Path) -> None:
    kept = {C_LIBRARY, "onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt", "orjson/__init__.py"}
    gone = {BINDING, PROVIDERS, "onnxruntime/__init__.py", "onnxruntime/tools/x.py", "onnxruntime/backend/y.so"}
    assert left(tmp_path, *kept, *gone, engine="onnxruntime-c") == kept
    assert not (tmp_path / "onnxruntime/tools").exists()


def test_what_a_gpu_needs_stays_where_the_wheel_has_it(tmp_path: Path) -> None:
    provider = "onnxruntime/capi/libonnxruntime_providers_cuda.so"
    kept = {C_LIBRARY, PROVIDERS, provider, "nvidia/cu13/lib/libcudart.so.13"}
    gone = {BINDING, "onnxruntime/capi/libonnxruntime_providers_tensorrt.so", "nvidia/cu13/include/cuda.h"}
    assert left(tmp_path, *kept, *gone, engine="onnxruntime-c") == kept
