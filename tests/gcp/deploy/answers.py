"""What a deployed function answers: the golden samples as their publisher saw them."""

from __future__ import annotations

import json

from fakes.google_cloud import Backend
from pilotlight.codec.golden_requests import to_request
from pilotlight_cli.gcp.golden import Expected


def publisher(expected: Expected) -> Backend:
    """Return a revision that answers as it should."""
    model = expected.model
    replies = {}
    for sample in expected.golden.samples:
        request = to_request(model.signature, sample)
        assert request is not None
        outputs = {tensor.name: list(tensor.data) for tensor in sample.outputs}
        label, probabilities = model.signature.output("label"), model.signature.output("probabilities")
        assert label is not None
        assert probabilities is not None
        replies[request.path, json.dumps(request.body)] = {
            "predictions": outputs[label.name],
            "probabilities": outputs[probabilities.name],
            "model_name": model.name,
            "model_version": model.version,
        }

    def answer(method: str, path: str, body: bytes) -> tuple[int, object]:
        if (method, path) == ("GET", "/health/ready"):
            return 200, {"status": "ready"}
        return 200, replies[path, json.dumps(json.loads(body))]

    return answer


def liar(expected: Expected) -> Backend:
    """Return a revision that answers something else."""
    right = publisher(expected)

    def answer(method: str, path: str, body: bytes) -> tuple[int, object]:
        status, reply = right(method, path, body)
        if isinstance(reply, dict) and "predictions" in reply:
            reply = reply | {"probabilities": [1 - value for value in reply["probabilities"]]}
        return status, reply

    return answer


def another_version(expected: Expected) -> Backend:
    """Return a revision that has an older version of the model."""
    right = publisher(expected)

    def answer(method: str, path: str, body: bytes) -> tuple[int, object]:
        status, reply = right(method, path, body)
        return status, reply | {"model_version": 7} if isinstance(reply, dict) else reply

    return answer


def broken(_method: str, _path: str, _body: bytes) -> tuple[int, object]:
    """Return a revision whose model is not there."""
    return 503, {"error": "the model is not ready"}
