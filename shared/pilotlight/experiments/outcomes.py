"""What the models of an experiment answer, as fields of the log line of each request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from statistics import fmean
from typing import Any

from pilotlight.codec.encode import predictions
from pilotlight.dataplane import DataPlane
from pilotlight.model.tensor import Tensor

# A line has at most so many labels, those of the most rows; the others are OTHER together.
MOST_LABELS = 20
OTHER = "other"


def noting(plane: DataPlane, fields: dict[str, object]) -> DataPlane:
    """Return the data plane for one request. It adds the outcome of that to the fields of its log line."""
    watch, found, own = plane.watch, list[Any](), copy(plane)
    signature = plane.model.signature

    def note(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        if watch is not None:
            watch(inputs, outputs)
        with suppress(Exception):  # what is noted must not fail the request
            found.extend(predictions(signature, outputs))
            fields.update(outcome(found, is_classifier=signature.is_classifier))

    own.watch = note
    return own


def outcome(found: Sequence[Any], *, is_classifier: bool) -> dict[str, object]:
    """Return `labels`, the rows of each label, or `score`, the mean of a model with one number a row.

    The score is None if a number of it is not finite. Nothing is returned of other predictions.
    """
    if is_classifier:
        labels = Counter(str(label) for label in found if label is not None)
        most = dict(labels.most_common(MOST_LABELS))
        rest = labels.total() - sum(most.values())
        return {"labels": most | ({OTHER: most.get(OTHER, 0) + rest} if rest else {})}
    if not all(value is None or isinstance(value, (int, float)) for value in found):
        return {}
    return {"score": None if None in found else float(f"{fmean(found):.7g}")}
