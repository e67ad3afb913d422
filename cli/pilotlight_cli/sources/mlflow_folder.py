"""MLflow's model folders: the file `MLmodel` names the library's own file, a signature and an input example.

https://mlflow.org/docs/latest/ml/model/ describes the folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from pilotlight.errors import ModelError
from pilotlight.model.tensor import BOOL, BYTES, DATATYPES, FP32, FP64
from pilotlight_cli.formats.foreign import saved_model
from pilotlight_cli.formats.recognition import NotRecognised
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources.declared import Column, Declared, Source, Tensor
from pilotlight_cli.sources.files import Files, model_path, named

_FILE: Final = "MLmodel"

# The flavors whose file can be published or converted, the best first, with the field that names the file.
_FLAVORS: Final = (
    ("onnx", "data"),
    ("sklearn", "pickled_model"),
    ("xgboost", "data"),
    ("lightgbm", "data"),
    ("catboost", "data"),
)
# The flavors whose folder has a file that can be converted, with the field that names the folder.
_NETWORKS: Final = (("pytorch", "model_data"), ("keras", "data"), ("tensorflow", "data"))
_NETWORK_FILES: Final = ("model.pt2", "model.pth", "model.keras")
_TYPES: Final = {
    "boolean": BOOL,
    "integer": DATATYPES["INT32"],
    "long": DATATYPES["INT64"],
    "float": FP32,
    "double": FP64,
    "string": BYTES,
}
_DTYPES: Final = {
    "bool": BOOL,
    "float16": DATATYPES["FP16"],
    "float32": FP32,
    "float64": FP64,
    **{f"{sign}int{bits}": DATATYPES[f"{sign.upper()}INT{bits}"] for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "str": BYTES,
}


@dataclass(frozen=True, slots=True)
class _Model:
    """The parsed `MLmodel` of a folder."""

    files: Files
    document: Mapping[str, Any]

    def fail(self, found: str, expected: str) -> ModelError:
        """Return an error about this file."""
        return ModelError(f"{self.files.place}/{_FILE}: found {found}, expected {expected}; log the model again")


def take(files: Files, file: str) -> Source:
    """Return the model of an MLflow folder. Raise NotRecognised, ModelError or UsageError."""
    model = _Model(files, _mapping(files))
    flavor, name = _flavor(model)
    if file and file != name:
        raise UsageError(f"--file {file}: {files.place}/{_FILE} names {name} as its model; leave --file out")
    if name not in files.sizes:
        raise model.fail(f"the model file {name!r}", f"one that the folder has: {named(files.sizes)}")
    declared = Declared(
        _FILE,
        columns=_columns(model),
        inputs=_tensors(model, "inputs"),
        outputs=_tensors(model, "outputs"),
        rows=(rows := _rows(model)),
        rows_place=_example(model) if rows else "",
    )
    note = f"{files.place} is an MLflow model of the flavor {flavor}; {name} is taken"
    return Source(model_path(files, name), declared, (note,))


def _mapping(files: Files) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(files.text(_FILE))
    except yaml.YAMLError as error:
        raise ModelError(f"{files.place}/{_FILE} is not valid YAML: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("flavors"), dict):
        raise ModelError(f"{files.place}/{_FILE} has no flavors, expected those of an MLflow model")
    return document


def _flavor(model: _Model) -> tuple[str, str]:
    """Return the flavor to take and the path of its file. Raise NotRecognised if there is none."""
    flavors = model.document["flavors"]
    for flavor, key in _FLAVORS:
        if isinstance(fields := flavors.get(flavor), dict):
            name = fields.get(key)
            if not isinstance(name, str):
                raise model.fail(f"{key} {name!r} in the flavor {flavor}", "the path of a file")
            return flavor, name
    for flavor, key in _NETWORKS:
        folder = fields.get(key) if isinstance(fields := flavors.get(flavor), dict) else None
        for name in (f"{folder}/{file}" for file in _NETWORK_FILES):
            if name in model.files.sizes:
                return flavor, name
    others = sorted(map(str, flavors.keys() - {"python_function"}))
    place = model.files.place
    if saved := next((name for name in model.files.sizes if name.endswith("/saved_model.pb")), ""):
        raise NotRecognised(saved_model(f"{place}/{saved.rpartition('/')[0]}"))
    if others:
        raise NotRecognised(
            f"{place} is an MLflow model of the flavor {', '.join(others)}; expected one of "
            f"{', '.join(name for name, _ in (*_FLAVORS, *_NETWORKS))}; log the model with mlflow.onnx"
        )
    loader = flavors.get("python_function", {}).get("loader_module", "unknown code")
    raise NotRecognised(
        f"{place} is an MLflow model of Python code alone ({loader}), which a function does not run; log the model "
        "inside it with its own flavor, like mlflow.sklearn or mlflow.onnx"
    )


def _specs(model: _Model, field: str) -> list[Any]:
    """Return the entries of the signature's `inputs` or `outputs`, which MLmodel has as a JSON text."""
    signature = model.document.get("signature")
    text = signature.get(field) if isinstance(signature, dict) else None
    if text is None:
        return []
    try:
        specs = json.loads(text)
    except (TypeError, ValueError):
        raise model.fail(f"signature.{field} {str(text)[:60]!r}", "JSON") from None
    if not isinstance(specs, list) or not all(isinstance(spec, dict) for spec in specs):
        raise model.fail(f"signature.{field} {text[:60]!r}", "a list of columns or tensors")
    return specs


def _columns(model: _Model) -> tuple[Column, ...]:
    specs = _specs(model, "inputs")
    if any(spec.get("type") == "tensor" or not spec.get("name") for spec in specs):
        return ()
    columns = []
    for spec in specs:
        datatype = _TYPES.get(str(spec.get("type")))
        if datatype is None:
            raise model.fail(
                f"the column {spec['name']!r} of the type {spec.get('type')}", f"one of {', '.join(_TYPES)}"
            )
        columns.append(Column(str(spec["name"]), datatype, spec.get("required") is False))
    return tuple(columns)


def _tensors(model: _Model, field: str) -> tuple[Tensor, ...]:
    """Return the tensors of a signature; those of Python objects have no type that could be compared."""
    tensors = []
    for spec in _specs(model, field):
        described = spec.get("tensor-spec")
        if not isinstance(described, dict) or described.get("dtype") == "object":
            continue
        datatype, shape = _DTYPES.get(str(described.get("dtype"))), described.get("shape")
        if datatype is None or not isinstance(shape, list) or not all(type(length) is int for length in shape):
            raise model.fail(f"the tensor {described}", f"a shape and one of {', '.join(_DTYPES)}")
        # An output is that of MLflow's own predict, which squeezes some.
        tensors.append(Tensor(str(spec.get("name") or ""), datatype, tuple(shape) if field == "inputs" else None))
    return tuple(tensors)


def _example(model: _Model) -> str:
    """Return the path of the input example that the folder has, or an empty text."""
    info = model.document.get("saved_input_example_info")
    path = info.get("artifact_path") if isinstance(info, dict) else None
    return path if isinstance(path, str) and path in model.files.sizes else ""


def _rows(model: _Model) -> tuple[Any, ...]:
    """Return the input example as instances: rows of a table, or elements of arrays along their first dimension."""
    path = _example(model)
    if not path:
        return ()
    try:
        example = json.loads(model.files.text(path))
    except ValueError as error:
        raise ModelError(f"{model.files.place}/{path} is not valid JSON: {error}") from None
    info = model.document["saved_input_example_info"]
    rows = example
    if isinstance(example, dict) and info.get("type") == "dataframe":
        rows, names = example.get("data"), example.get("columns")
        if rows and isinstance(names, list) and all(isinstance(name, str) for name in names):
            rows = [dict(zip(names, row, strict=False)) for row in rows]
    elif isinstance(example, dict) and example and all(isinstance(values, list) for values in example.values()):
        rows = [dict(zip(example, values, strict=False)) for values in zip(*example.values(), strict=False)]
    if not isinstance(rows, list) or not rows or info.get("type") not in ("dataframe", "ndarray"):
        return ()
    return tuple(rows)
