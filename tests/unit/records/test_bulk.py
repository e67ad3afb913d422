"""Records read together: the same inputs as one by one, whatever the payloads contain."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from doubles import COLUMNS, FEATURES, IMAGE, PAIR, description
from pilotlight.codec.batches import joined
from pilotlight.errors import RequestError
from pilotlight.model.signature import Signature
from pilotlight.records.bulk import decode_together
from pilotlight.records.decode import EventRecord, decode
from properties import given, settings, st

LIMIT = 200
BASE64 = {"content-encoding": "base64"}
HARMLESS = ['{"features": [1, 2.5, 3]}', "[1, 2, 3]", '{"height": 1, "width": 2, "depth": 3}', " [1, 2, 3]\n"]
FAULTY = [
    *("[1", "2]", "1, 2, 3", "[1, 2, 3], [1, 2, 3]", "", " ", "{", "}", '"', '["', "[[1, 2, 3]", "],[", "nope", "5"),
    *('{"features": [1, 2]}', '{"features": [1, 2, NaN]}', '{"features": [1, 2, 1e400]}', '{"features": null}', "[]"),
    *('{"features": [1, 2, 3], "features": [1, 2, 3]}', '{"features": [1, 2, 3], "id": 1}', "null", '"[1, 2, 3]"'),
    *(
        '{"instances": [[1, 2, 3]]}',
        '{"inputs": []}',
        "[1, 2, 18446744073709551616]",
        "\ud800",
        "[1, 2, 3]" + " " * LIMIT,
    ),
]


def one_by_one(signature: Signature, records: list[EventRecord]) -> Any:
    """Return the joined inputs; None if a record fails or is no single instance."""
    try:
        found = [decode(description(signature), record, LIMIT) for record in records]
    except RequestError:
        return None
    if any(each.rows != 1 or each.document for each in found):
        return None
    return joined([each.inputs for each in found])


def content(tensors: Any) -> Any:
    return tensors and [(each.datatype, each.shape, each.values()) for each in tensors]


def record(payload: Any, *, is_base64: bool) -> EventRecord:
    if is_base64 and isinstance(payload, str):
        return EventRecord("a", b64encode(payload.encode("utf-8", "surrogatepass")).decode(), BASE64)
    return EventRecord("a", payload)


@settings(max_examples=500)
@given(
    payloads=st.lists(st.sampled_from([*HARMLESS * 6, *FAULTY]) | st.text(max_size=5), min_size=2, max_size=6),
    is_base64=st.booleans(),
)
def test_what_is_read_together_is_what_is_read_one_by_one(payloads: list[str], is_base64: bool) -> None:
    """A form that only `decode` knows is left to it, and nothing that it refuses is taken."""
    records = [record(payload, is_base64=is_base64) for payload in payloads]
    together = decode_together(description(FEATURES), records, LIMIT)
    if together is not None:
        assert content(together) == content(one_by_one(FEATURES, records))


@pytest.mark.parametrize(
    ("signature", "payloads"),
    [
        (FEATURES, HARMLESS[:3]),
        (COLUMNS, ['{"city": "a", "rooms": 1, "area": 2.5}', '["b", 2, 3.5]']),
        (IMAGE, ["[[1, 2], [3, 4]]", '{"features": [[5, 6], [7, 8]]}']),
        (PAIR, ['{"left": [1, 2], "right": 0.5}', '{"left": [3, 4], "right": 1.5}']),
    ],
)
@pytest.mark.parametrize("is_base64", [False, True])
def test_the_usual_forms_are_read_together(signature: Signature, payloads: list[str], is_base64: bool) -> None:
    records = [record(payload, is_base64=is_base64) for payload in payloads]
    together = decode_together(description(signature), records, LIMIT)
    assert together is not None
    assert content(together) == content(one_by_one(signature, records))


@pytest.mark.parametrize("payload", FAULTY)
def test_a_record_of_another_form_is_left_to_be_read_alone(payload: str) -> None:
    good = EventRecord("good", "[1, 2, 3]")
    for records in ([good, EventRecord("a", payload)], [EventRecord("a", payload), good], [good, good, good]):
        found = decode_together(description(FEATURES), records, LIMIT)
        assert (found is None) == (records[-1] is not records[0])


def test_payloads_that_would_be_one_value_together_are_not() -> None:
    for payloads in (["[1", "2, 3]"], ["[1, 2, 3", "4], [1, 2, 3]"], ['{"features": [1, 2', "3]}"]):
        records = [EventRecord("a", payload) for payload in payloads]
        assert decode_together(description(FEATURES), records, LIMIT) is None


def test_a_content_type_is_left_to_be_read_alone() -> None:
    typed = EventRecord("a", "[1, 2, 3]", {"content-type": "image/png"})
    packed = EventRecord("a", {"height": 1, "width": 2, "depth": 3})
    for other in (typed, packed, EventRecord("a", "!", BASE64)):
        assert decode_together(description(FEATURES), [EventRecord("b", json.dumps([1, 2, 3])), other], LIMIT) is None
