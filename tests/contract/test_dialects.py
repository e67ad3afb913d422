"""One table of rows, with missing values among them, in every form and on every way."""

from __future__ import annotations

import json

import pytest

from contract.test_contract import without_id
from dialects import ACCEPTED, DIALECTS, FULL, KINDS, REFUSED, Dialect, Row
from drivers import WAYS, Drivers
from harness import Pinned
from pilotlight.codec.golden_requests import compare_samples
from pilotlight.model.golden import read_golden

EACH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


def answered(row: Row) -> Row:
    """Return a prediction: ONNX has no missing string, and the model gets an empty one."""
    return {f"{name}_out": "" if (name, row[name]) == ("city", None) else row[name] for name in KINDS}


@EACH
def test_rows_are_answered_alike_in_every_form_on_every_way(dialect: Dialect, ways: Drivers) -> None:
    for name, (row, answer) in ACCEPTED.items():
        body = dialect.body([row, FULL])
        replies = [ways[way, "cells"]("POST", dialect.path.format("cells"), dialect.headers, body) for way in WAYS]
        assert {reply.status for reply in replies} == {200}, (name, replies[0].body)
        assert len({reply.body for reply in replies}) == 1
        found = dialect.predictions(json.loads(replies[0].body))
        assert found == [answered(answer), answered(FULL)][: len(found)]


@EACH
def test_rows_are_refused_alike_in_every_form_on_every_way(dialect: Dialect, ways: Drivers) -> None:
    for row, message in REFUSED.values():
        body = dialect.body([row, FULL])
        replies = [ways[way, "cells"]("POST", dialect.path.format("cells"), dialect.headers, body) for way in WAYS]
        assert {reply.status for reply in replies} == {400}
        assert len({without_id(reply) for reply in replies}) == 1
        assert message in json.loads(replies[0].body)["error"]


def test_golden_samples_with_missing_values_are_sent_and_agree(pins: dict[str, Pinned], ways: Drivers) -> None:
    pin = pins["cells"]
    golden = read_golden(pin.lock.with_name("golden.json").read_bytes())
    assert None in golden.samples[0].inputs[0].data
    for way in WAYS:
        compared = compare_samples(
            pin.model,
            golden,
            lambda request, way=way: (  # type: ignore[misc]
                (reply := ways[way, "cells"]("POST", request.path, {}, json.dumps(request.body).encode())).status,
                json.loads(reply.body),
            ),
        )
        assert [(one.status, one.problem) for one in compared] == [(200, "")]
