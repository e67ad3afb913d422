"""The models and requests of warm.py, and how each of its sides is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from large_models import mlp, resnet18
from pilotlight.model.lock import load_lock
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import FP32
from sample import LOCK, SAMPLE

Floats = NDArray[np.float32]

_COLUMNS = tuple(f"f{index}" for index in range(30))
_DENSE = Signature(
    (Input("features", FP32, (-1, 30), "features", _COLUMNS),), (Output("scores", FP32, (-1, 2), "tensor"),)
)
_RESNET = Signature((Input("image", FP32, (1, 3, 224, 224), "tensor"),), (Output("scores", FP32, (1, 1000), "tensor"),))


@dataclass(frozen=True, slots=True)
class Case:
    """A model, its input, and the request that brings it; `answer` is where the reply has the last output's numbers."""

    name: str
    title: str
    model: Path
    signature: Signature
    rows: Floats
    path: str
    headers: dict[str, str]
    body: bytes
    answer: str
    fastapi: bool = True


def cases(folder: Path) -> Iterator[Case]:
    """One after the other; models are made in `folder`."""
    dense, forest, resnet = folder / "dense.onnx", folder / "forest.onnx", folder / "resnet18.onnx"
    mlp(dense, widths=(30, 16, 2))
    shutil.copy(SAMPLE / "model.onnx", forest)
    for model, name, signature in (
        (dense, "", _DENSE),
        (forest, "-forest", load_lock(LOCK).model.signature),
    ):
        title = "a forest" if name else "a small dense network"
        for count in (1, 1000):
            yield tabular(model, signature, count, f"{count}x30-json{name}", f"{count}x30 in JSON, {title}")
    resnet18(resnet)
    yield from _images(resnet)


def tabular(model: Path, signature: Signature, count: int, name: str, title: str) -> Case:
    """Return the case of so many rows in JSON, by the route for one row or for a batch."""
    numbers = numbers_of(count)
    batch = "s" if count > 1 else ""
    document = {"instances": numbers} if batch else {"features": numbers[0]}
    return Case(
        name,
        title,
        model,
        signature,
        np.array(numbers, np.float32),
        "/predict_batch" if batch else "/predict",
        {"content-type": "application/json"},
        json.dumps(document).encode(),
        "probabilities" if signature.labels else f"prediction{batch}",
    )


def numbers_of(count: int) -> list[list[float]]:
    """Rows of numbers with six digits, as measurements have."""
    drawn = np.random.default_rng(7).uniform(0.001, 100, (count, 30))
    return [[float(f"{value:.6g}") for value in row] for row in drawn]


def _images(model: Path) -> Iterator[Case]:
    image = np.random.default_rng(7).integers(0, 256, (1, 3, 224, 224)).astype(np.float32) / np.float32(255)
    entry: dict[str, Any] = {"name": "image", "shape": [1, 3, 224, 224], "datatype": "FP32"}
    path = "/v2/models/bench/infer"
    document = json.dumps({"inputs": [entry | {"data": np.round(image.ravel().astype(float), 6).tolist()}]}).encode()
    rounded = np.round(image.astype(float), 6).astype(np.float32)
    media = {"content-type": "application/json"}
    yield Case(
        "image-json", "1x3x224x224 in JSON, ResNet-18", model, _RESNET, rounded, path, media, document, "outputs"
    )
    parameters = {"parameters": {"binary_data_size": image.nbytes}}
    head = json.dumps({"inputs": [entry | parameters]}).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    title = "1x3x224x224 in binary V2, ResNet-18"
    body = head + image.tobytes()
    yield Case("image-binary", title, model, _RESNET, image, path, headers, body, "outputs", fastapi=False)


def scores(case: Case, body: bytes | str) -> Floats:
    """Return the numbers in a reply's body."""
    found: Any = json.loads(body)[case.answer]
    if case.answer == "outputs":
        found = found[0]["data"]
    return np.asarray(found, np.float32).ravel()
