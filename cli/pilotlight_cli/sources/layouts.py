"""The layouts of model folders: which one a folder has, and so which of its files is the model."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pilotlight_cli.formats.convertible import command
from pilotlight_cli.formats.foreign import saved_model
from pilotlight_cli.formats.recognition import NotRecognised
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources import huggingface_folder, mlflow_folder, triton
from pilotlight_cli.sources.declared import Source
from pilotlight_cli.sources.files import Files, model_path, named, suffix

_MODELS: Final = (".onnx", ".ort", ".skops", ".pkl", ".pickle", ".joblib", ".ubj", ".cbm")
_EXPECTED: Final = (
    "expected one model file, or the folder of an MLflow model, of a Hugging Face repository with ONNX, of Triton's or "
    "KServe's model repository, or SageMaker's model.tar.gz"
)

Take = Callable[[Files, str], Source]


def take(files: Files, file: str) -> Source:
    """Return the model of a folder. Raise NotRecognised or ModelError, and UsageError if it has no such `file`."""
    if file and file not in files.sizes:
        raise UsageError(f"{files.place} has no file {file!r}, only {named(files.sizes)}")
    source = _layout(files)(files, file)
    notes = (*files.notes, *source.notes, *_code(files))
    return replace(source, notes=notes, origin=files.origin, given=_words(files, file))


def _words(files: Files, file: str) -> str:
    """Return what names a file of the folder on a command line."""
    return shlex.quote(files.place) + (f" --file {shlex.quote(file)}" if file else "")


def _layout(files: Files) -> Take:
    names = files.sizes.keys()
    if "MLmodel" in names:
        return mlflow_folder.take
    if triton.versions(files):
        return triton.take
    if "config.json" in names and any(suffix(name) == ".onnx" for name in names):
        return huggingface_folder.take
    return _plain


def _plain(files: Files, file: str) -> Source:
    """Return the only model file of a folder, or the chosen one."""
    models = [file] if file else [name for name in files.sizes if suffix(name) in _MODELS]
    if len(models) == 1:
        return Source(model_path(files, models[0]))
    if models:
        raise UsageError(
            f"{files.place} has {len(models)} model files, expected one; choose one with --file: {named(models)}"
        )
    raise NotRecognised(_nothing(files))


def _nothing(files: Files) -> str:
    """Return why a folder has no model to publish."""
    names = files.sizes
    for name in names:
        folder, _, last = f"{files.place}/{name}".rpartition("/")
        if last == "saved_model.pb":
            return saved_model(folder)
        if last == "model.weights.h5":
            packed = f"python -m zipfile -c model.keras {folder}/. && pilotlight convert model.keras model.onnx"
            return f"{folder} has the parts of a Keras model; pack and convert them: {packed}"
        if suffix(name) == ".keras":
            return f"{folder} has a Keras model, {last}; convert it: {command(_words(files, name))}"
        if suffix(name) == ".h5":
            saved = "load it, save it again with model.save('model.keras'), and convert that"
            return f"{folder} has a Keras model, {last}; {saved}: pilotlight convert model.keras model.onnx"
    weights = next((name for name in names if suffix(name) == ".safetensors" or name == "pytorch_model.bin"), "")
    if "config.json" in names and weights:
        export = f"'optimum-cli export onnx --model {files.place} exported'"
        return f"{files.place} has the weights of a Hugging Face model, {weights}, and no ONNX; export it with {export}"
    found = named(names) if names else "no files"
    return f"{files.place} has {found}; {_EXPECTED}. --file chooses a model file of another name"


def _code(files: Files) -> tuple[str, ...]:
    """Return a note about a folder's code: what it does before and after the model is missing in a function."""
    code = [name for name in files.sizes if suffix(name) == ".py"]
    if not code:
        return ()
    return (f"{named(code)} in {files.place} is not run; what it does has to be in the model",)
