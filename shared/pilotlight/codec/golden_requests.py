"""Golden samples as HTTP requests, and the comparison of the responses with the published outputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from pilotlight.codec.encode import nest
from pilotlight.model.golden import Golden, Sample, Values, differences
from pilotlight.model.lock import Description
from pilotlight.model.signature import Output, Signature

_MAX_DIFFERENCES = 3  # in a message
_MAX_TEXT = 300  # characters of a response in a message


@dataclass(frozen=True, slots=True)
class GoldenRequest:
    """A JSON body, and the path to POST it to."""

    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The response to a golden sample, compared with the published one. `number` counts the samples from 1.

    `status` is 0 where no response came. `problem` is empty where the response agrees. A skipped sample was not sent.
    """

    number: int
    sample: Sample
    status: int = 0
    problem: str = ""
    skipped: bool = False

    @property
    def message(self) -> str:
        """The problem with the sample it is about."""
        return f"golden sample {self.number}: {self.problem}"


# Sends a request; returns the status and the JSON document of the response, or its text if it is not JSON. Status 0
# means that no response came, and the text says why.
Send = Callable[[GoldenRequest], tuple[int, object]]


def compare_samples(model: Description, golden: Golden, send: Send) -> Iterator[Comparison]:
    """Send the golden samples one after the other, and compare each response with the published one.

    Samples with a number that JSON cannot represent (NaN or an infinity) are skipped, unless it may be missing.
    """
    for number, sample in enumerate(golden.samples, 1):
        request = to_request(model.signature, sample)
        if request is None:
            yield Comparison(number, sample, skipped=True)
            continue
        status, document = send(request)
        yield Comparison(number, sample, status, _problem(model, golden, sample, status, document))


def _problem(model: Description, golden: Golden, sample: Sample, status: int, document: object) -> str:
    if status == 0:
        return f"no response: {error_text(document)}"
    if status != 200:
        return f"status {status}, expected 200: {error_text(document)}"
    if not isinstance(document, dict):
        return f"the response is not a JSON object: {error_text(document)}"
    served = f"{document.get('model_name')}:{document.get('model_version')}"
    if served != f"{model.name}:{model.version}":
        return f"response from {served}, expected {model.name}:{model.version}"
    found = disagreements(model.signature, golden, sample, document)
    if not found:
        return ""
    more = f" and {len(found) - _MAX_DIFFERENCES} more" if len(found) > _MAX_DIFFERENCES else ""
    return f"the response differs from the published one: {'; '.join(found[:_MAX_DIFFERENCES])}{more}"


def error_text(document: object) -> str:
    """Return the sentence in an error's document, of the function (`error`) or its platform (`message`)."""
    if isinstance(document, dict):
        document = document.get("error") or document.get("message") or document
    text = document if isinstance(document, str) else json.dumps(document)
    return text[:_MAX_TEXT]


def to_request(signature: Signature, sample: Sample) -> GoldenRequest | None:
    """Return the request that sends a sample; None if it has a number that JSON cannot represent (NaN, an infinity).

    Where values may be missing, null is one.
    """
    values = {tensor.name: tensor for tensor in sample.inputs}
    inputs = [values[tensor.name] for tensor in signature.inputs]
    if any(None in values[tensor.name].data for tensor in signature.inputs if not tensor.missing):
        return None
    if signature.batch is None:
        return GoldenRequest("/predict", {"features": _by_name([(tensor.name, _nested(tensor)) for tensor in inputs])})
    columns = [_nested(tensor) for tensor in inputs]
    if signature.takes_features:
        return GoldenRequest("/predict_batch", {"instances": _rows(columns)})
    names = [tensor.name for tensor in inputs]
    instances = [_by_name(list(zip(names, items, strict=True))) for items in zip(*columns, strict=True)]
    return GoldenRequest("/predict_batch", {"instances": instances})


def disagreements(signature: Signature, golden: Golden, sample: Sample, response: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each place where a response exceeds the tolerance; an empty list if it agrees.

    The response is that of /predict or /predict_batch.
    """
    published = {tensor.name: tensor for tensor in sample.outputs}
    messages = []
    for output in signature.outputs:
        expected = published[output.name]
        found = output_values(signature, output, response)
        if len(found) != prod(expected.shape):
            messages.append(f"output {output.name!r}: found {len(found)} values, expected {prod(expected.shape)}")
            continue
        actual = Values(expected.name, expected.datatype, expected.shape, tuple(found))
        messages.extend(differences(golden, [expected], [actual]))
    return messages


def output_values(signature: Signature, output: Output, response: Mapping[str, Any]) -> list[Any]:
    """Return an output's values, flat, in a response of /predict or /predict_batch; none where it lacks them."""
    return _flat(_served(signature, output, response))


def _served(signature: Signature, output: Output, response: Mapping[str, Any]) -> Any:  # noqa: ANN401 - nested lists
    """Return an output's values in a response; an empty list where it lacks them."""
    if output.role == "probabilities":
        return response.get("probabilities", [])
    if output.role == "tensor" and signature.is_classifier:
        return _named(response.get("outputs"), output.name)
    found = response["predictions"] if "predictions" in response else [response.get("prediction", [])]
    if output.role == "label" or len(signature.outputs) == 1:
        return found
    return [_named(prediction, output.name) for prediction in found]


def _named(values: Any, name: str) -> Any:  # noqa: ANN401 - a JSON value
    return values.get(name, []) if isinstance(values, dict) else []


def _nested(values: Values) -> Any:  # noqa: ANN401 - a value or lists of any depth
    return nest(values.shape, list(values.data))


def _rows(columns: Sequence[Any]) -> list[list[Any]]:
    """Return rows of features: one matrix as it is, columns of shape [n] or [n, 1] side by side."""
    if len(columns) == 1 and isinstance(columns[0][0], list):
        return list(columns[0])
    return [[_flat(cell)[0] for cell in row] for row in zip(*columns, strict=True)]


def _by_name(items: list[tuple[str, Any]]) -> Any:  # noqa: ANN401 - a value or lists of any depth
    """Return a single input as it is, several by their names."""
    return items[0][1] if len(items) == 1 else dict(items)


def _flat(value: Any) -> list[Any]:  # noqa: ANN401 - a value or lists of any depth
    return [scalar for item in value for scalar in _flat(item)] if isinstance(value, list) else [value]
