"""The page at `/docs` of a function on this machine: a form for the model's inputs that shows the prediction.

One document with its style and scripts, so that it works without the internet. It is for developers: no deployed
function has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from pilotlight.codec.golden_requests import to_request
from pilotlight.model.golden import Golden, Sample
from pilotlight.model.lock import Description
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import DATATYPES

PATH = "/docs"

# Below it, the front of a function has other versions of the model: `/docs/versions/NAME:VERSION/predict`.
VERSIONS = f"{PATH}/versions"

# The most JSON of golden samples in the page, in characters, after the first instance.
_MAX_CHARACTERS = 200_000

_UINT8 = DATATYPES["UINT8"]

_SCRIPTS = ("form.js", "rows.js", "image.js", "versions.js")

# What answers the form: a function, or the model itself in the browser.
_ASK, _RUN = "post.js", "web.js"


def page(
    model: Description,
    golden: Golden,
    beside: Description | None = None,
    *,
    pinned: str = "",
    versions: Sequence[str] = (),
    web: bool = False,
) -> bytes:
    """Return the document for a version, filled in with the first instance of its golden samples.

    It shows the answers of the version `beside` too. `pinned` is the NAME:VERSION that answers at the root, by default
    the model's; any other one answers below `VERSIONS`. `versions` are those to choose from. `web`: the page runs the
    model itself, with its files and the folder `ort` beside it.
    """
    pinned = pinned or title(model)
    parts = {
        "__STYLE__": _read("page.css"),
        "__HEAD__": '\n<script src="ort/ort.wasm.min.js"></script>' if web else "",
        "__SCRIPT__": "".join(map(_read, (*_SCRIPTS, _RUN if web else _ASK))),
        # Only "</" ends a script element; JSON may escape "<".
        "__MODEL__": json.dumps(
            _data(model, golden, beside, pinned, versions) | ({"web": _web(model)} if web else {}), ensure_ascii=False
        ).replace("<", "\\u003c"),
    }
    return re.sub("|".join(parts), lambda found: parts[found[0]], _read("page.html")).encode()


def title(model: Description) -> str:
    """Return NAME:VERSION."""
    return f"{model.name}:{model.version}"


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _data(
    model: Description, golden: Golden, beside: Description | None, pinned: str, versions: Sequence[str]
) -> dict[str, Any]:
    signature = model.signature
    columns = {tensor.name: tensor for tensor in signature.inputs}
    features = [(name, signature.matrix or columns[name]) for name in signature.feature_names]
    return {
        **_place(model, pinned),
        "pinned": pinned,
        "versions": list(versions),
        "features": [
            {"name": name, "datatype": tensor.datatype.name, "missing": tensor.missing} for name, tensor in features
        ],
        "inputs": [
            {"name": tensor.name, "datatype": tensor.datatype.name, "shape": list(tensor.shape)}
            for tensor in signature.inputs
        ],
        "image": _image(signature),
        "generated": golden.generated,
        "instances": list(_fitting(signature, golden)),
        "other": beside and _place(beside, pinned),
    }


def _web(model: Description) -> dict[str, Any]:
    """Return what the page needs to run the model itself."""
    return {
        "name": model.name,
        "version": model.version,
        "files": [{"name": file.name, "sha256": file.sha256} for file in model.files],
        "optimization": model.runtime.session.graph_optimization,
        "outputs": [
            {"name": output.name, "datatype": output.datatype.name, "role": output.role}
            for output in model.signature.outputs
        ],
    }


def _place(model: Description, pinned: str) -> dict[str, Any]:
    """Return what the page needs to ask a version and to name its answers."""
    name = title(model)
    return {
        "title": name,
        "labels": list(model.signature.labels),
        "prefix": "" if name == pinned else f"{VERSIONS}/{name}",
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
