"""The page at `/docs` of a function on this machine: a form for the model's features that shows the prediction.

One document with its style and script, so that it works without the internet. It is for developers: no deployed
function has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from pilotlight.codec.golden_requests import to_request
from pilotlight.model.golden import Golden, Sample
from pilotlight.model.lock import Description
from pilotlight.model.signature import Signature

PATH = "/docs"

# The most JSON of golden samples in the page, in characters, after the first instance.
_MAX_CHARACTERS = 200_000

_PLACEHOLDER = "__MODEL__"


def page(model: Description, golden: Golden) -> bytes:
    """Return the document for a model, filled in with the first instance of its golden samples."""
    template = files(__name__).joinpath("page.html").read_text(encoding="utf-8")
    # Only "</" ends a script element; JSON may escape "<".
    data = json.dumps(_data(model, golden), ensure_ascii=False).replace("<", "\\u003c")
    return template.replace(_PLACEHOLDER, data).encode()


def _data(model: Description, golden: Golden) -> dict[str, Any]:
    signature = model.signature
    datatype = signature.inputs[0].datatype.name
    kinds = {tensor.name: tensor.datatype.name for tensor in signature.inputs}
    return {
        "name": model.name,
        "version": model.version,
        "features": [{"name": name, "datatype": kinds.get(name, datatype)} for name in signature.feature_names],
        "inputs": [
            {"name": tensor.name, "datatype": tensor.datatype.name, "shape": list(tensor.shape)}
            for tensor in signature.inputs
        ],
        "labels": list(signature.labels),
        "generated": golden.generated,
        "instances": list(_fitting(signature, golden)),
    }


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
