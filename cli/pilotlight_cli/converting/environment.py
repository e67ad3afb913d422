"""The environment of a conversion: the packages that a file needs, in its versions, and a Python that has them."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotlight.errors import ModelError
from pilotlight.model.formats import is_before
from pilotlight_cli.converting.sources import Source
from pilotlight_cli.formats.kinds import with_sklearn
from pilotlight_cli.hostenv import PYTHON, InstallError, host_packages, run_uv
from pilotlight_cli.sandbox.job import UsageError

# The newest releases that were tried. A file that does not name its version is read by the newest, too.
_CONVERTERS: Final = ("onnx>=1.14,<1.24", "onnxruntime>=1.16,<1.33", "numpy")
_TABLES: Final = ("pandas", "joblib")
_NETWORKS: Final = ("onnxscript>=0.5,<0.8",)
_SKL2ONNX: Final = "skl2onnx>=1.16,<1.21"
_OLD_ONNX: Final = "onnx<1.17"  # what skl2onnx takes that converts releases of scikit-learn before 1.5
_NEWEST: Final = {"catboost": "1.2.10", "lightgbm": "4.7.0", "torch": "2.13.0"}

_WITHOUT_PACKAGE: Final = frozenset({"joblib", "numpy", "pandas", "scipy", "sklearn", "_loss"})
_OLD_NAMES: Final = frozenset({"__builtin__", "copy_reg"})  # of Python 2, in pickles of protocol 0 to 2
_PACKAGES: Final = {
    "catboost": "catboost",
    "imblearn": "imbalanced-learn",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
}

# From the newest to the oldest that a conversion runs on, after this machine's own.
_PYTHONS: Final = ("3.13", "3.12", "3.11", "3.10", "3.9", "3.8")


@dataclass(frozen=True, slots=True)
class Environment:
    """A folder of packages, what was asked for, and the Python that imports them."""

    packages: Path
    requirements: tuple[str, ...]
    python: str

    @property
    def libraries(self) -> tuple[str, ...]:
        """The packages whose versions are those of the file."""
        return tuple(sorted(line.partition("==")[0] for line in self.requirements if "==" in line))


def requirements(source: Source, extra: Sequence[str]) -> list[str]:
    """Return what the file needs, in the form of pip's command line; `extra` are the user's own.

    Raise ModelError or UsageError.
    """
    roots = {source.form} if source.form in _PACKAGES else {name.partition(".")[0] for name in source.names}
    own = [name for name in source.names if name.startswith("__main__.")]
    if own:
        raise ModelError(
            f"the file asks for {own[0]}, which is in the script that trained it and not in any package; move it into "
            "one, or train without it"
        )
    versions = source.versions | dict(map(_given, extra))
    if source.form in ("exported", "keras", "torchscript"):
        versions = {"torch": _NEWEST["torch"]} | versions
        return [*(f"{package}=={version}" for package, version in versions.items()), *_NETWORKS, *_CONVERTERS]
    found: list[str] = []
    if "scikit-learn" in versions or roots & {"sklearn"} or source.form in ("pickle", "skops"):
        found += [*_scikit_learn(versions.pop("scikit-learn", "")), _SKL2ONNX]
    if source.form == "skops":
        found.append("skops")
    for root in sorted(roots - _WITHOUT_PACKAGE - sys.stdlib_module_names - _OLD_NAMES):
        package = _PACKAGES.get(root, root)
        if package not in versions and package not in _NEWEST and root not in _PACKAGES:
            raise ModelError(
                f"the file asks for the package of {root!r}; name it with --with PACKAGE==VERSION in the version that "
                "trained the model"
            )
        version = versions.pop(package, _NEWEST.get(package, ""))
        found.append(f"{package}=={version}" if version else package)
    found += [f"{package}=={version}" if version else package for package, version in versions.items()]
    return [*found, *_TABLES, *_CONVERTERS]


def _given(requirement: str) -> tuple[str, str]:
    """Parse --with. Raise UsageError."""
    found = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.+!]+)", requirement)
    if found is None:
        raise UsageError(f"--with {requirement}: expected PACKAGE==VERSION, like lightgbm==4.7.0")
    return found[1], found[2]


def _scikit_learn(version: str) -> list[str]:
    if not version:
        return ["scikit-learn"]
    old = [_OLD_ONNX] if is_before(version, "1.5") else []
    return [f"scikit-learn=={version}", *with_sklearn(version), *old]


def prepare(needed: Sequence[str], name: str) -> Environment:
    """Install what a file needs for this machine's Python, or for another one that has it. Raise InstallError."""
    first: InstallError | None = None
    tried = []
    for python in pythons():
        for chosen in _variants(needed):
            try:
                return Environment(host_packages(chosen, python=python), tuple(chosen), python)
            except InstallError as error:
                first = first or error
        tried.append(_version(python))
    raise InstallError(
        f"{name} needs {', '.join(line for line in needed if '==' in line) or 'packages'}, which cannot be installed "
        f"for Python {', '.join(tried)}; install a Python of the model's time, with uv or pyenv. {first}"
    )


def _variants(needed: Sequence[str]) -> Iterator[list[str]]:
    """Yield the requirements, first with XGBoost for the processor alone, which is a tenth of the size."""
    smaller = [line.replace("xgboost", "xgboost-cpu", 1) if line.startswith("xgboost") else line for line in needed]
    if smaller != list(needed) and platform.system() == "Linux":
        yield smaller
    yield list(needed)


def pythons() -> Iterator[str]:
    """Yield this machine's Python, then others that are installed: as uv finds them, or of pyenv."""
    yield PYTHON
    seen = {f"{sys.version_info.major}.{sys.version_info.minor}"}
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in _PYTHONS:
        if version in seen:
            continue
        found = sorted(root.glob(f"versions/{version}.*/bin/python{version}"))
        try:
            path = run_uv(["python", "find", "--no-project", "--system", version]).strip()
        except InstallError:  # there is none
            path = ""
        if path or found:
            yield path or str(found[-1])


def _version(python: str) -> str:
    if python == PYTHON:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    return Path(os.path.realpath(python)).name.removeprefix("python") or python
