"""Files of libraries whose models `convert` writes as ONNX, recognised by their bytes with the standard library."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# So many first bytes of a file tell its kind.
HEAD: Final = 64

# What to do with a network whose classes no file has.
EXPORT: Final = (
    "it needs the classes of the script that trained it; export the network there: torch.export.save("
    "torch.export.export(model.eval(), (example,), dynamic_shapes=({0: torch.export.Dim('batch')},)), 'model.pt2')"
)

# The version of XGBoost, in JSON and in UBJ, there as three small integers.
_XGBOOST_JSON: Final = re.compile(rb'"version"\s*:\s*\[(\d+),\s*(\d+),\s*(\d+)\]')
_XGBOOST_UBJ: Final = re.compile(rb"version\[#L\0{7}\x03i(.)i(.)i(.)", re.DOTALL)
_TORCH: Final = re.compile(rb'"torch_version":\s*"(\d+(?:\.\d+)+)')
_CATBOOST: Final = re.compile(rb"CatBoost release (\d+(?:\.\d+)+)|Branch: (?:tags/|release/)?v?(\d+(?:\.\d+)+)")


@dataclass(frozen=True, slots=True)
class Convertible:
    """What a file is: its `form` for the converter, a description for people, and versions of packages in it."""

    form: str
    description: str
    versions: dict[str, str]


def recognise(path: Path, head: bytes) -> Convertible | None:
    """Recognise the file at `path`, which begins with `head`, or return None."""
    for begins, form, description, versions in _FILES:
        if head.startswith(begins):
            return Convertible(form, description, versions(path.read_bytes()))
    return _recognise_zip(path) if head.startswith(b"PK\x03\x04") else None


def command(given: str) -> str:
    """Return the command that converts a file, which `given` names on a command line."""
    return f"pilotlight convert {given} model.onnx"


def pickled_booster(content: bytes) -> str:
    """Return the library of a booster in a pickle that `publish` cannot load, or nothing.

    XGBoost's have a bytearray, which can load anything. LightGBM's and CatBoost's in a model of scikit-learn can be
    allowed by name.
    """
    if b"xgboost.core" in content and b"bytearray" in content:
        return "XGBoost"
    if b"_sklearn_version" in content:
        return ""
    return next((name for module, name in _BOOSTERS if module in content), "")


def booster_versions(content: bytes) -> dict[str, str]:
    """Return the versions of the boosters that are stored in a pickle."""
    return xgboost_version(content) | (_catboost_version(content) if b"catboost" in content else {})


def xgboost_version(content: bytes) -> dict[str, str]:
    """Return XGBoost's version, which a stored booster has at its end."""
    found = _XGBOOST_JSON.findall(content[-4096:]) or _XGBOOST_JSON.findall(content)
    numbers = [part.decode() for part in found[-1]] if found else []
    if not numbers and (binary := _XGBOOST_UBJ.findall(content)):
        numbers = [str(part[0]) for part in binary[-1]]
    return {"xgboost": ".".join(numbers)} if numbers else {}


def _catboost_version(content: bytes) -> dict[str, str]:
    found = _CATBOOST.search(content)
    return {"catboost": (found[1] or found[2]).decode()} if found else {}


def _recognise_zip(path: Path) -> Convertible | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if {"config.json", "metadata.json"} <= names:
                found = json.loads(archive.read("metadata.json")).get("keras_version")
                return Convertible("keras", "a Keras model", {"keras": str(found)}) if found else None
            torch = _torch_version(archive)
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError):
        return None
    within = {name.partition("/")[2] for name in names}
    if "archive_format" in within or "serialized_exported_program.json" in names:
        return Convertible("exported", "an ExportedProgram of PyTorch", torch)
    if "data.pkl" in within:
        if any(name.startswith("code/") for name in within):
            return Convertible("torchscript", "a TorchScript model of PyTorch", {})
        return Convertible("torch", "a pickle of PyTorch", {})
    return None


def _torch_version(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return the version in an ExportedProgram, without the build's own part (`+cpu`)."""
    for name in archive.namelist():
        if name.endswith("models/model.json") and (found := _TORCH.search(archive.read(name))):
            return {"torch": found[1].decode()}
    return {}


_BOOSTERS: Final = (
    (b"xgboost.", "XGBoost"),
    (b"lightgbm.basic", "LightGBM"),
    (b"catboost.core", "CatBoost"),
)
_FILES: Final[tuple[tuple[bytes, str, str, Callable[[bytes], dict[str, str]]], ...]] = (
    (b'{"learner"', "xgboost", "an XGBoost model", xgboost_version),
    (b'{"version"', "xgboost", "an XGBoost model", xgboost_version),
    (b"{L\0\0\0\0\0\0\0\x07learner", "xgboost", "an XGBoost model", xgboost_version),
    (b"tree\nversion=", "lightgbm", "a LightGBM model", lambda _: {}),
    (b"CBM1", "catboost", "a CatBoost model", _catboost_version),
)
