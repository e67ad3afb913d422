"""What a file to convert is: its form, the versions in it, and the names that loading it may call."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pilotlight_cli.converting import names
from pilotlight_cli.formats import convertible, recognition
from pilotlight_cli.formats.recognition import NotRecognised
from pilotlight_cli.sandbox.job import UsageError


@dataclass(frozen=True, slots=True)
class Source:
    """A file to convert. `versions` are those of packages in the file; `names` are what a pickle asks for."""

    form: str
    description: str
    versions: dict[str, str]
    names: tuple[str, ...] = ()
    size: int = 0


def describe(path: Path) -> Source:
    """Describe the file at `path`. Raise NotRecognised, UnsafePickle or UsageError."""
    with path.open("rb") as file:
        head = file.read(convertible.HEAD)
    size = path.stat().st_size
    found = convertible.recognise(path, head)
    if found is not None:
        if found.form == "torch":
            raise NotRecognised(f"{path.name} is {found.description}; {convertible.EXPORT}")
        listed = names.of_archive(path) if found.form == "exported" else ()
        return Source(found.form, found.description, found.versions, listed, size)
    content = recognition.pickle_in(path, head)
    if content is not None:
        versions = convertible.booster_versions(content)
        saved_by = set(recognition.pickled_versions(content))
        if len(saved_by) == 1:
            versions["scikit-learn"] = saved_by.pop()
        return Source("pickle", "a pickle", versions, names.of_pickle(path), len(content))
    known = recognition.recognise(path)
    if known.kind == "onnx":
        raise UsageError(f"{path.name} is an ONNX model already; publish it")
    if known.kind != "skops":
        raise NotRecognised(f"{path.name} is a {known.kind} file, which cannot be converted")
    return Source("skops", "a skops file", {"scikit-learn": known.sklearn}, _skops_names(path), known.size)


def read_source(document: dict[str, Any]) -> Source:
    """Read what `write_source` wrote."""
    return Source(**document | {"names": tuple(document["names"])})


def write_source(source: Source) -> dict[str, Any]:
    """Return the JSON form."""
    return asdict(source)


def _skops_names(path: Path) -> tuple[str, ...]:
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
    return tuple(sorted(set(_types(schema))))


def _types(schema: object) -> Iterator[str]:
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("__module__"), str) and isinstance(node.get("__class__"), str):
                yield f"{node['__module__']}.{node['__class__']}"
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
