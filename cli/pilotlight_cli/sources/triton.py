"""Model repositories of Triton and KServe: `NAME/VERSION/model.onnx`, with `NAME/config.pbtxt`.

Of the configuration only the fields that describe the model are read:
https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pilotlight.errors import ModelError
from pilotlight.model.tensor import BYTES, DATATYPES
from pilotlight_cli.formats.recognition import NotRecognised
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources.declared import Declared, Source, Tensor
from pilotlight_cli.sources.files import Files, model_path, named
from pilotlight_cli.sources.pbtxt import Message, Unparsable, parse

_VERSION: Final = re.compile(r"(?:(?P<model>[^/]+)/)?(?P<version>[0-9]+)/model\.onnx")
_PLATFORMS: Final = ("", "onnxruntime", "onnxruntime_onnx")
_TYPES: Final = {f"TYPE_{name}": datatype for name, datatype in DATATYPES.items() if datatype is not BYTES} | {
    "TYPE_STRING": BYTES
}


@dataclass(frozen=True, slots=True)
class _Found:
    """A version of a model in a repository; `model` is empty where the folder is the model's own."""

    model: str
    version: int
    path: str


@dataclass(frozen=True, slots=True)
class _Config:
    """A message of a configuration at `place`, by the types of its fields."""

    place: str
    fields: Message

    def text(self, name: str) -> str:
        """Return a string's or an enum's value, empty without one."""
        value = self.fields.get(name, [""])[-1]
        if not isinstance(value, str):
            raise ModelError(f"{self.place}: found {name} {value}, expected a text")
        return value

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return the values of a field of whole numbers."""
        values = self.fields.get(name, [])
        found = tuple(value for value in values if isinstance(value, int))
        if len(found) != len(values):
            raise ModelError(f"{self.place}: found {name} {values}, expected whole numbers")
        return found

    def messages(self, name: str) -> list[_Config]:
        """Return the values of a field of messages."""
        values = self.fields.get(name, [])
        found = [_Config(self.place, value) for value in values if isinstance(value, dict)]
        if len(found) != len(values):
            raise ModelError(f"{self.place}: found {name} {values}, expected messages in braces")
        return found


def versions(files: Files) -> list[_Found]:
    """Return the versions of the models in a repository, empty for any other folder."""
    matches = [match for name in files.sizes if (match := _VERSION.fullmatch(name))]
    return [_Found(match["model"] or "", int(match["version"]), match[0]) for match in matches]


def take(files: Files, file: str) -> Source:
    """Return the chosen version, or the highest one of the only model. Raise UsageError if there are several models."""
    found = versions(files)
    models = sorted({version.model for version in found})
    if file:
        chosen = next((version for version in found if version.path == file), None)
        if chosen is None:
            raise UsageError(f"--file {file} is no version's model; expected one of {named(v.path for v in found)}")
    elif len(models) > 1:
        raise UsageError(f"{files.place} has the models {named(models)}, expected one; choose a folder or a --file")
    else:
        chosen = max(found, key=lambda version: version.version)
    config = f"{chosen.model}/config.pbtxt".removeprefix("/")
    declared = _declared(files, config) if config in files.sizes else None
    others = sorted(version.version for version in found if version.model == chosen.model)
    note = f"{chosen.path} is taken" + (f", of the versions {', '.join(map(str, others))}" if len(others) > 1 else "")
    return Source(model_path(files, chosen.path), declared, (note,))


def _declared(files: Files, path: str) -> Declared:
    """Read a configuration. Raise ModelError, or NotRecognised for a model of another backend."""
    config = _Config(f"{files.place}/{path}", _parse(f"{files.place}/{path}", files.text(path)))
    platform = config.text("backend") or config.text("platform")
    if platform not in _PLATFORMS:
        raise NotRecognised(f"{config.place} is for {platform}, expected onnxruntime")
    batch = (-1,) if config.numbers("max_batch_size") > (0,) else ()
    outputs = config.messages("output")
    named_labels = [name for output in outputs if (name := output.text("label_filename"))]
    return Declared(
        path,
        inputs=tuple(_tensor(tensor, batch) for tensor in config.messages("input")),
        outputs=tuple(_tensor(tensor, batch) for tensor in outputs),
        labels=_labels(files, path, named_labels[0]) if len(named_labels) == 1 else (),
    )


def _tensor(tensor: _Config, batch: tuple[int, ...]) -> Tensor:
    name, kind = tensor.text("name"), tensor.text("data_type")
    if not name or kind not in _TYPES:
        raise ModelError(
            f"{tensor.place}: found a tensor {name!r} of {kind or 'no data_type'}, expected a name and one of "
            f"{', '.join(_TYPES)}"
        )
    return Tensor(name, _TYPES[kind], (*batch, *tensor.numbers("dims")), exact=True)


def _labels(files: Files, config: str, name: str) -> tuple[str, ...]:
    """Return the lines of a file of labels, which is beside the configuration."""
    path = config.removesuffix("config.pbtxt") + name
    if path not in files.sizes:
        raise ModelError(f"{files.place}/{config} names the labels {name}, but {path} does not exist")
    return tuple(line for line in files.text(path).splitlines() if line)


def _parse(place: str, text: str) -> Message:
    try:
        return parse(text)
    except Unparsable as error:
        raise ModelError(f"{place}, {error}; expected a configuration in protobuf's text format") from None
