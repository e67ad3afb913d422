"""Removing the parts of libraries that no function imports: packages are near Lambda's limit.

The package of a container has this module too: `python -m trim` does it where its image has installed the libraries.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

from pilotlight.model.formats import ENGINES, LIBRARIES, Engine
from pilotlight.model.lock import load_lock

_MODULES = (*(library.module for library in LIBRARIES.values()), "nvidia", "pyarrow")

# A client of remote tables, in libraries that pyarrow opens only for it.
_REMOTE = ("*arrow_flight*", "*arrow_python_flight*", "_flight*")

# A library's own tests, which need pytest.
_TESTS = frozenset(("test", "tests"))

# numpy.testing, which scipy imports, takes it from among numpy's tests in 2.2.
_NEEDED_TESTS = frozenset(("numpy/_core/tests/_natype.py",))

# Tools beside onnxruntime itself, which does not import them: for converting, quantising and trying models.
_TOOLS = frozenset(("backend", "datasets", "quantization", "tools", "transformers"))

# For compilers and type checkers: stubs, Cython, C, C++ and Fortran sources and headers, static libraries.
_SOURCES = frozenset(
    (".pyi", ".pyx", ".pxd", ".pxi", ".tp", ".h", ".hpp", ".c", ".cpp", ".f", ".f90", ".build", ".a", ".lib")
)

# What the library opens to use a GPU, where its wheel can; any wheel has the first.
_BRIDGE = "onnxruntime/capi/libonnxruntime_providers_shared.so"
_GPU = "onnxruntime/capi/libonnxruntime_providers_cuda.so"

# A binding that links the library, as one of another version might, names it; then the library stays.
_BINDING = "onnxruntime_pybind11_state*.so"

# The services that the stores and the search for credentials call, of 400.
_SERVICES = frozenset(("s3", "signin", "sso", "sso-oidc", "sts"))

# What people have to be able to read stays with any engine.
_NOTICES = frozenset(("LICENSE", ".txt", ".md"))


def prune(folder: Path, engine: Engine) -> None:
    """Remove from the libraries installed in `folder` what an engine does not use."""
    for module in _MODULES:
        for path in _files(folder / module):
            if _is_superfluous(path.relative_to(folder)):
                path.unlink()
    for pattern in _REMOTE:
        for path in (folder / "pyarrow").glob(pattern):
            path.unlink()
    for path in (folder / "botocore" / "data").glob("*/**/*.*"):
        if path.relative_to(folder).parts[2] not in _SERVICES:
            path.unlink()
    if engine.only:
        _keep_only(folder, engine)
    elif engine.without:
        _leave_out(folder, engine.without)
    _remove_empty_folders(folder)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _is_superfluous(path: Path) -> bool:
    if path.as_posix() in _NEEDED_TESTS:
        return False
    if path.parts[0] == "onnxruntime" and path.parts[1] in _TOOLS:
        return True
    return path.suffix in _SOURCES or not _TESTS.isdisjoint(path.parts[:-1])


def _keep_only(folder: Path, engine: Engine) -> None:
    kept = set(folder.glob(engine.only))
    if (gpu := folder / _GPU).exists():
        kept |= {gpu, folder / _BRIDGE}
    for package in engine.packages:
        for path in _files(folder / LIBRARIES[package].module):
            if path not in kept and not {path.name, path.suffix} & _NOTICES:
                path.unlink()


def _leave_out(folder: Path, pattern: str) -> None:
    for path in list(folder.glob(pattern)):
        name = f"{path.name.partition('.so')[0]}.so".encode()
        bindings = list(path.parent.glob(_BINDING))
        if bindings and not any(name in binding.read_bytes() for binding in bindings):
            path.unlink()


def _remove_empty_folders(folder: Path) -> None:
    for module in _MODULES:
        for path in sorted((folder / module).rglob("*"), reverse=True):  # the innermost first
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


if __name__ == "__main__":
    prune(Path(sysconfig.get_path("purelib")), ENGINES[load_lock(Path("model.lock")).model.runtime.engine])
