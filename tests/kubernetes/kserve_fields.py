"""Run beside KServe's own models: prints what they do not know of the documents on standard input, in JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import kserve

KUBERNETES = sys.modules["kubernetes.client"]  # which kserve imports; by its name it would be this folder
SCALARS: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "bool": (bool,), "float": (int, float)}


def strange(kind: str, value: Any, path: str) -> Iterator[str]:
    """Yield the paths of what is not as a type says: of unknown fields, other types, and fields that are missing."""
    if several := re.fullmatch(r"[lL]ist\[(.*)\]", kind):
        if not isinstance(value, list):
            yield f"{path}: expected a list"
            return
        for number, each in enumerate(value):
            yield from strange(several[1], each, f"{path}[{number}]")
    elif of := re.fullmatch(r"[dD]ict[\[(]str, (.*)[\])]", kind):
        for key, each in value.items():
            yield from strange(of[1], each, f"{path}.{key}")
    elif kind in SCALARS:
        if not isinstance(value, SCALARS[kind]) or (isinstance(value, bool) and kind != "bool"):
            yield f"{path}: expected {kind}"
    elif model := getattr(kserve, kind, None) or getattr(KUBERNETES, kind, None):
        yield from fields(model, value, path)
    elif kind != "object":
        yield f"{path}: unknown type {kind}"


def fields(model: Any, value: Any, path: str) -> Iterator[str]:
    """Yield what is strange about an object of a model that openapi-generator made."""
    names = {name: attribute for attribute, name in model.attribute_map.items()}
    if not isinstance(value, dict):
        yield f"{path}: expected an object"
        return
    for name, each in value.items():
        if name in names:
            yield from strange(model.openapi_types[names[name]], each, f"{path}.{name}")
        else:
            yield f"{path}.{name}: unknown"
    try:  # it refuses to leave out what is required
        model(**{names[name]: each for name, each in value.items() if name in names})
    except ValueError as error:
        yield f"{path}: {error}"


found = []
for document in json.load(sys.stdin):
    group, version = document["apiVersion"].split("/")
    assert group == "serving.kserve.io"
    found.append(list(strange(f"{version.capitalize()}{document['kind']}", document, "")))
print(json.dumps(found))
