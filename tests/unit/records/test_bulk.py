"""Records read together: the same inputs as one by one, whatever the payloads contain."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from typing import Any

import pytest

from doubles import COLUMNS, FEATURES, IMAGE, PAIR, plane_of
from pilotlight.codec import json_fast
from pilotlight.codec.batches import sliced
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Tensor
from pilotlight.records.bulk import decode_all
from pilotlight.records.decode import EventRecord
from properties import given, settings, st

LIMIT = 200
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


CSV = ["1,2.5,3", "-1,2e-05,3\r\n", "0,0.5,-0.25\n"]
FAULTY_CSV = [
    *("1,2", "1,,3", "-0,2,3", "1,-0,3", "1,2,-0", "1., .5,3", "1.,.5,+3", "01,2,3", "1,2,3,", "1,2,3\n1,2,3", "1,2,x"),
    *("1 ,2,3", "1,2,1e400", "9007199254740993,2,3", "1,2,18446744073709551616", ",", "-", "1,2,3\r\r\n", "\n1,2,3"),
]
V2 = json.dumps({"inputs": [{"name": "features", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]})
ROW = {"height": 1, "width": 2.5, "depth": 3}


def record(payload: Any, encoding: str = "", content_type: str = "") -> EventRecord:
    """Return a record whose payload, if it is text, was encoded so."""
    attributes = {"content-encoding": encoding, "content-type": content_type}
    attributes = {name: value for name, value in attributes.items() if value}
    if not encoding or not isinstance(payload, str):
        return EventRecord("a", payload, attributes)
    content = payload.encode("utf-8", "surrogatepass")
    return EventRecord("a", b64encode(gzip.compress(content) if "gzip" in encoding else content).decode(), attributes)


def read(signature: Signature, records: list[EventRecord]) -> tuple[list[Any], dict[int, Any]]:
    """Return each good record's index, values and what else counts, and each other's error."""
    parts, errors = decode_all(plane_of(signature), records, LIMIT)
    found = []
    for indices, decoded in parts:
        rows = decoded.rows or 1
        assert len(indices) in (1, rows)
        for place, index in enumerate(indices):
            own = sliced(decoded.inputs, place, place + 1) if len(indices) > 1 else decoded.inputs
            checked = decoded.checked_rows if len(indices) == 1 else 1
            tensors = [(each.datatype, each.shape, bytes_of(each)) for each in own]
            found.append((index, tensors, checked, decoded.document is not None))
    return sorted(found), {index: (error.code, error.message, error.path) for index, error in errors.items()}


def bytes_of(tensor: Tensor) -> Any:
    return tensor.data if isinstance(tensor.data, list) else bytes(tensor.data)


def one_by_one(signature: Signature, records: list[EventRecord]) -> tuple[list[Any], dict[int, Any]]:
    all_found: list[Any] = []
    all_errors: dict[int, Any] = {}
    for index, each in enumerate(records):
        found, errors = read(signature, [each])
        all_found += [(index, *rest) for _, *rest in found]
        all_errors |= dict.fromkeys([index] * len(errors), *errors.values())
    return all_found, all_errors


ENCODINGS = ["", "base64", "gzip", "gzip, BASE64", "br"]
PAYLOADS = st.sampled_from(
    [*HARMLESS * 6, *CSV * 6, *FAULTY, *FAULTY_CSV, V2, ROW, ROW, {"height": 1}, {"features": 5}]
)
RECORDS = st.builds(
    record,
    PAYLOADS | st.text(max_size=5) | st.text("0123456789-+.eE,\r\n", max_size=9),
    st.sampled_from(["", "", "", *ENCODINGS]),
    st.sampled_from([*[""] * 6, "text/csv", "application/json", "image/png"]),
)


@settings(max_examples=1000)
@given(records=st.lists(RECORDS, min_size=2, max_size=9))
def test_what_is_read_together_is_what_is_read_one_by_one(records: list[EventRecord]) -> None:
    """Whatever the forms, encodings and faults: the same values, the same errors, none lost, none twice."""
    found, errors = read(FEATURES, records)
    assert (found, errors) == one_by_one(FEATURES, records)
    assert sorted([*errors, *(each[0] for each in found)]) == list(range(len(records)))


@pytest.mark.parametrize(
    ("signature", "payloads"),
    [
        (FEATURES, [*HARMLESS, *CSV, ROW, "1e-05,2,3"]),
        (COLUMNS, ['{"city": "a", "rooms": 1, "area": 2.5}', '["b", 2, 3.5]', {"city": "c", "rooms": 3, "area": 1}]),
        (IMAGE, ["[[1, 2], [3, 4]]", '{"features": [[5, 6], [7, 8]]}']),
        (PAIR, ['{"left": [1, 2], "right": 0.5}', '{"left": [3, 4], "right": 1.5}']),
    ],
)
@pytest.mark.parametrize("encoding", ["", "base64", "gzip"])
def test_the_usual_forms_are_one_part(signature: Signature, payloads: list[Any], encoding: str) -> None:
    records = [record(payload, encoding) for payload in payloads]
    parts, errors = decode_all(plane_of(signature), records, LIMIT)
    assert ([list(indices) for indices, _ in parts], errors) == ([list(range(len(records)))], {})
    assert read(signature, records) == one_by_one(signature, records)


@pytest.mark.parametrize("payload", [*FAULTY, *FAULTY_CSV])
def test_a_record_that_is_poison_leaves_the_others_together(payload: str) -> None:
    """They are read in a few steps, as many as halves have to be made to find it."""
    good = [EventRecord("good", "[1, 2, 3]")] * 32
    records = [*good, EventRecord("a", payload), *good]
    parts, _ = decode_all(plane_of(FEATURES), records, LIMIT)
    is_ambiguous = payload == '{"features": [1, 2, 3], "features": [1, 2, 3]}' or "18446744073709551616" in payload
    assert len(parts) <= (65 if is_ambiguous else 14)
    assert read(FEATURES, records) == one_by_one(FEATURES, records)


def test_inputs_of_several_widths_share_a_part_with_their_like() -> None:
    pairs = [json.dumps({"left": [1] * (1 + index // 8), "right": 0.5}) for index in range(32)]
    records = [record(payload) for payload in pairs]
    parts, _ = decode_all(plane_of(PAIR), records, LIMIT)
    assert [len(indices) for indices, _ in parts] == [8, 8, 8, 8]
    assert read(PAIR, records) == one_by_one(PAIR, records)


def test_without_orjson_all_is_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record(payload) for payload in [*HARMLESS, *CSV, *FAULTY]]
    expected = one_by_one(FEATURES, records)
    monkeypatch.setattr(json_fast, "library", lambda: None)
    assert read(FEATURES, records) == expected
