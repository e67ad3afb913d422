"""Removes what no function imports from the libraries in a package: Lambda's limit is near, and bytecode adds to it."""

from __future__ import annotations

from pathlib import Path

from pilotlight_cli.formats.engines import C_API

# Only libraries that were searched for what they import of it; another one's `test` may be part of what it does.
_LIBRARIES = ("joblib", "narwhals", "numpy", "onnxruntime", "pandas", "scipy", "sklearn", "skops")

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

# onnxruntime's wheel has the runtime twice: within its Python binding, and as a library for programs in C. What people
# have to be able to read stays with either.
_ONNXRUNTIME = "onnxruntime"
_C_LIBRARY = "capi/libonnxruntime.so*"
_BINDING = "capi/onnxruntime_pybind11_state*.so"
_NOTICES = frozenset(("LICENSE", ".txt", ".md"))


def prune(folder: Path, engine: str) -> None:
    """Remove it from the libraries installed in `folder`, for one engine. Nothing is loaded differently without it."""
    for library in _LIBRARIES:
        for path in _files(folder / library):
            if _is_superfluous(path.relative_to(folder)):
                path.unlink()
    if engine == C_API:
        _keep_c_library(folder / _ONNXRUNTIME)
    else:
        _remove_c_library(folder / _ONNXRUNTIME)
    _remove_empty_folders(folder)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _is_superfluous(path: Path) -> bool:
    if path.as_posix() in _NEEDED_TESTS:
        return False
    if path.parts[0] == _ONNXRUNTIME and path.parts[1] in _TOOLS:
        return True
    return path.suffix in _SOURCES or not _TESTS.isdisjoint(path.parts[:-1])


def _keep_c_library(onnxruntime: Path) -> None:
    library = set(onnxruntime.glob(_C_LIBRARY))
    for path in _files(onnxruntime):
        if path not in library and not {path.name, path.suffix} & _NOTICES:
            path.unlink()


def _remove_c_library(onnxruntime: Path) -> None:
    """A binding that links the library, as one of another version might, names it; then it stays."""
    bindings = list(onnxruntime.glob(_BINDING))
    if bindings and not any(b"libonnxruntime.so" in binding.read_bytes() for binding in bindings):
        for path in onnxruntime.glob(_C_LIBRARY):
            path.unlink()


def _remove_empty_folders(folder: Path) -> None:
    for library in _LIBRARIES:
        for path in sorted((folder / library).rglob("*"), reverse=True):  # the innermost first
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
