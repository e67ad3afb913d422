"""The page at `/docs` of a function on this machine: fill in the model's features, send them, see the prediction.

One document with its style and its script in it, so that it works without the internet. It is the developer's: no
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

# How much of the golden samples goes into the page, in characters of JSON; the first instance does in any case.
_ROOM = 200_000

_PLACE = "__MODEL__"


def page(model: Description, golden: Golden) -> bytes:
    """The document for a model, filled in with the first instance of its golden samples."""
    template = files(__name__).joinpath("page.html").read_text(encoding="utf-8")
    # Inside a script element nothing ends it but "</"; JSON may write "<" as an escape.
    data = json.dumps(_data(model, golden), ensure_ascii=False).replace("<", "\\u003c")
    return template.replace(_PLACE, data).encode()


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
    room = _ROOM
    for index, instance in enumerate(item for sample in golden.samples for item in _instances(signature, sample)):
        room -= len(json.dumps(instance))
        if room < 0 and index:
            return
        yield instance


def _instances(signature: Signature, sample: Sample) -> list[Any]:
    """What `/predict` takes for each row of a sample; none where JSON cannot write it."""
    request = to_request(signature, sample)
    if request is None:
        return []
    return list(request.body["instances"]) if "instances" in request.body else [request.body["features"]]
