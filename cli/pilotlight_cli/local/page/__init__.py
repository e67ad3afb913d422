"""The page at `/docs` of a function on this machine: a form for the model's inputs that shows the prediction.

One document with its style and scripts, so that it works without the internet. It is for developers: no deployed
function has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from pilotlight.codec.golden_requests import to_request
from pilotlight.model.golden import Golden, Sample
from pilotlight.model.lock import Description
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import DATATYPES

PATH = "/docs"

# Where the front of a function has a second one, to compare.
OTHER = "/other"

# The most JSON of golden samples in the page, in characters, after the first instance.
_MAX_CHARACTERS = 200_000

_UINT8 = DATATYPES["UINT8"]

_SCRIPTS = ("form.js", "rows.js", "image.js")


def page(model: Description, golden: Golden, other: Description | None = None) -> bytes:
    """Return the document for a model, filled in with the first instance of its golden samples.

    `other` is a second model, at `OTHER`, whose answers it shows too.
    """
    parts = {
        "__STYLE__": _read("page.css"),
        "__SCRIPT__": "".join(map(_read, _SCRIPTS)),
        # Only "</" ends a script element; JSON may escape "<".
        "__MODEL__": json.dumps(_data(model, golden, other), ensure_ascii=False).replace("<", "\\u003c"),
    }
    return re.sub("|".join(parts), lambda found: parts[found[0]], _read("page.html")).encode()


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _data(model: Description, golden: Golden, other: Description | None) -> dict[str, Any]:
    signature = model.signature
    columns = {tensor.name: tensor for tensor in signature.inputs}
    features = [(name, signature.matrix or columns[name]) for name in signature.feature_names]
    return {
        "name": model.name,
        "version": model.version,
        "features": [
            {"name": name, "datatype": tensor.datatype.name, "missing": tensor.missing} for name, tensor in features
        ],
        "inputs": [
            {"name": tensor.name, "datatype": tensor.datatype.name, "shape": list(tensor.shape)}
            for tensor in signature.inputs
        ],
        "image": _image(signature),
        "labels": list(signature.labels),
        "generated": golden.generated,
        "instances": list(_fitting(signature, golden)),
        "other": other
        and {
            "name": other.name,
            "version": other.version,
            "labels": list(other.signature.labels),
            "prefix": OTHER,
        },
    }


def _image(signature: Signature) -> dict[str, Any] | None:
    """Return the form of an image if the only input is a batch of them: of three channels, before or after the rows."""
    tensor, *others = signature.inputs
    is_number = tensor.datatype.is_float or tensor.datatype is _UINT8
    if others or not is_number or len(tensor.shape) != 4 or tensor.shape[0] not in (-1, 1):
        return None
    _, *lengths = tensor.shape
    for first, (height, width, channels) in ((True, (*lengths[1:], lengths[0])), (False, lengths)):
        if channels == 3:
            return {"height": height, "width": width, "first": first, "isInteger": tensor.datatype is _UINT8}
    return None


def _fitting(signature: Signature, golden: Golden) -> Iterator[Any]:
    remaining = _MAX_CHARACTERS
    for index, instance in enumerate(item for sample in golden.samples for item in _instances(signature, sample)):
        remaining -= len(json.dumps(instance))
        if remaining < 0 and index:
            return
        yield instance


def _instances(signature: Signature, sample: Sample) -> list[Any]:
    """Return the `features` of /predict for each row of a sample; none if JSON cannot represent them."""
    request = to_request(signature, sample)
    if request is None:
        return []
    return list(request.body["instances"]) if "instances" in request.body else [request.body["features"]]
