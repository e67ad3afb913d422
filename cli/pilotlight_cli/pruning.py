"""Removes what no function imports from the libraries in a package: Lambda's limit is near, and bytecode adds to it."""

from __future__ import annotations

from pathlib import Path

# Only libraries that were searched for what they import of it; another one's `test` may be part of what it does.
_LIBRARIES = ("joblib", "narwhals", "numpy", "onnxruntime", "pandas", "scipy", "sklearn", "skops")

# A library's own tests, which need pytest.
_TESTS = frozenset(("test", "tests"))

# numpy.testing, which scipy imports, takes it from among numpy's tests in 2.2.
_NEEDED_TESTS = frozenset(("numpy/_core/tests/_natype.py",))

# For compilers and type checkers: stubs, Cython, C, C++ and Fortran sources and headers, static libraries.
_SOURCES = frozenset(
    (".pyi", ".pyx", ".pxd", ".pxi", ".tp", ".h", ".hpp", ".c", ".cpp", ".f", ".f90", ".build", ".a", ".lib")
)

# onnxruntime's wheel has the runtime twice: within its Python binding, and as a library for programs in C.
_BINDING = "onnxruntime/capi/onnxruntime_pybind11_state*.so"
_C_LIBRARY = "libonnxruntime.so"


def prune(folder: Path) -> None:
    """Remove it from the libraries installed in `folder`. Nothing is loaded differently without it."""
    for library in _LIBRARIES:
        for path in sorted((folder / library).rglob("*")):
            if path.is_file() and _is_superfluous(path.relative_to(folder)):
                path.unlink()
    _remove_c_library(folder)
    _remove_empty_folders(folder)


def _is_superfluous(path: Path) -> bool:
    if path.as_posix() in _NEEDED_TESTS:
        return False
    return path.suffix in _SOURCES or not _TESTS.isdisjoint(path.parts[:-1])


def _remove_c_library(folder: Path) -> None:
    """A binding that links the library, as one of another version might, names it; then it stays."""
    bindings = list(folder.glob(_BINDING))
    if bindings and not any(_C_LIBRARY.encode() in binding.read_bytes() for binding in bindings):
        for path in (folder / "onnxruntime" / "capi").glob(f"{_C_LIBRARY}*"):
            path.unlink()


def _remove_empty_folders(folder: Path) -> None:
    for library in _LIBRARIES:
        for path in sorted((folder / library).rglob("*"), reverse=True):  # the innermost first
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
