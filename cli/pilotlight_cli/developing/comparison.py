"""Two running functions, compared over the golden samples of their models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pilotlight.codec.golden_requests import output_values
from pilotlight.model.contract import model_changes
from pilotlight.model.golden import Values
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Datatype
from pilotlight_cli.comparing import words
from pilotlight_cli.comparing.predictions import Answers, Predictions, compare_answers
from pilotlight_cli.comparing.running import shared_instances
from pilotlight_cli.developing.instance import Instance
from pilotlight_cli.local.client import send
from pilotlight_cli.local.process import ServeError

_MOST_ROWS = 200
_SHOWN = ("differ", "largest difference", "finite in one model alone")


def compare(before: Instance, after: Instance) -> Iterator[str]:
    """Yield what changes from one instance to another, a line each. Raise ServeError if the second one fails on a row.

    Each golden row that both can read is sent to both, up to a limit.
    """
    for change in model_changes(before.model, after.model):
        yield f"{change.text}: {change.breaks}" if change.breaks else change.text
    signatures = (before.model.signature, after.model.signature)
    texts, _ = shared_instances((before.golden, after.golden), signatures)
    rows = [json.loads(text) for text in texts[:_MOST_ROWS]]
    if not rows:
        yield "no golden row fits both, so no predictions are compared"
        return
    answers = (ask(before.server.url, signatures[0], rows), ask(after.server.url, signatures[1], rows))
    failed = next((reason for reason in answers[1].refused.values() if reason.startswith("5")), "")
    if failed:
        raise ServeError(f"a golden row gets {failed}")
    yield from _lines(compare_answers(signatures, answers, {}))


def ask(url: str, signature: Signature, rows: Sequence[Any]) -> Answers:
    """Send each row to a function, and return the answers."""
    columns: list[list[list[Any]]] = [[] for _ in signature.outputs]
    refused, answered = {}, []
    for number, row in enumerate(rows, 1):
        response = send(url, "/predict", {"features": row})
        if response.status != 200:
            refused[number] = response.error
            continue
        answered.append(number)
        for column, output in zip(columns, signature.outputs, strict=True):
            column.append(output_values(signature, output, response.document))
    values = (
        _joined(output.name, output.datatype, column) for output, column in zip(signature.outputs, columns, strict=True)
    )
    return Answers(tuple(values), tuple(answered), refused)


def _joined(name: str, datatype: Datatype, rows: Sequence[Sequence[Any]]) -> Values:
    """Return an output for all rows, its shape flat if the rows differ in their lengths."""
    data = tuple(value for row in rows for value in row)
    widths = {len(row) for row in rows}
    shape = (len(rows), *widths) if len(widths) == 1 else (len(data),)
    return Values(name, datatype, shape, data)


def _lines(found: Predictions) -> Iterator[str]:
    rows = f"{len(found.rows)} golden row{'' if len(found.rows) == 1 else 's'}"
    for side, refused in zip(("before", "now"), found.refused, strict=True):
        if refused:
            row, reason = next(iter(refused.items()))
            yield f"{side} refuses {len(refused)} golden row(s): row {row}: {reason}"
    for one in found.outputs:
        told = [f"{name} {text}" for name, text in words.statistics(found, one) if name in _SHOWN]
        yield f"{words.output_name(one)}, {rows}: {', '.join(told) or one.problem or 'no numbers to compare'}"
