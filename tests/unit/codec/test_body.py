from __future__ import annotations

import json
import tracemalloc

import pytest

from pilotlight.codec.body import read_body
from pilotlight.errors import InvalidRequest, UnsupportedMediaType
from properties import given, st

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def refused(body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read_body({}, body)
    return caught.value


@given(JSON_VALUES)
def test_every_json_value_comes_through_as_it_is(value: object) -> None:
    assert read_body({}, json.dumps(value).encode()) == value


@given(st.binary())
def test_no_bytes_raise_anything_but_an_invalid_request(body: bytes) -> None:
    try:
        read_body({}, body)
    except InvalidRequest as error:
        assert error.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty, expected a JSON object"),
        (b"{", "the body is not valid JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        (b'{"a": 1,}', "the body is not valid JSON"),
        (b"{'a': 1}", "the body is not valid JSON"),
        (b'{"a": 1} x', "the body is not valid JSON: Extra data at line 1, column 10"),
        (b"\xff", "the body is not UTF-8: invalid start byte at byte 0"),
        (b"\xef\xbb\xbf{}", "the body is not valid JSON"),
        ('{"a": 1}'.encode("utf-16"), "the body is not UTF-8"),
        (b"[" * 100_000, "the body is nested too deeply"),
        (b"1" * 5000, "the body has a whole number with too many digits"),
        (b'{"a": [NaN', "the body is not valid JSON"),
        (b'{"a": [NaN, nan]}', "the body is not valid JSON"),
        (b'{"a": 1, "a": 2} x', "the body is not valid JSON"),
        (b"[NaN, " + b"1" * 5000 + b"]", "the body has a whole number with too many digits"),
        (b'{"a": NaN, "b": ' + b"[" * 100_000, "the body is nested too deeply"),
    ],
)
def test_what_is_not_json_is_refused_with_the_place(body: bytes, message: str) -> None:
    assert refused(body).message.startswith(message)


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (b'{"a": [1, NaN]}', "$.a[1]", "NaN is not JSON, expected a number"),
        (b'{"a": {"b": -Infinity}}', "$.a.b", "-Infinity is not JSON, expected a number"),
        (b'{"a": 1, "a": 1}', "$", 'duplicate key "a"'),
        (b'[{}, {"x": {"k": 1, "k": 2}}]', "$[1].x", 'duplicate key "k"'),
        (b'{"mean radius": [[], NaN]}', '$["mean radius"][1]', "NaN is not JSON, expected a number"),
        (b'{"\\ud800": NaN}', '$["\\ud800"]', "NaN is not JSON, expected a number"),
    ],
)
def test_what_python_would_take_and_json_has_not_is_refused_at_its_path(body: bytes, path: str, message: str) -> None:
    error = refused(body)
    assert (error.path, error.message) == (path, message)


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "Application/JSON; charset=utf-8", "application/x+json"]
)
def test_a_json_media_type_is_read(content_type: str) -> None:
    assert read_body({"content-type": content_type}, b"1") == 1


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_another_media_type_is_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="expected application/json"):
        read_body({"content-type": content_type}, b"1")


def test_saying_where_the_fault_is_takes_no_more_memory_than_the_body_deserves() -> None:
    body = b'{"%s": [%s NaN]}' % (b"k" * 20_000, b"0," * 50_000)
    tracemalloc.start()
    try:
        assert refused(body).path == '$["' + "k" * 37 + '..."][50000]'
        assert tracemalloc.get_traced_memory()[1] < 40 * len(body)
    finally:
        tracemalloc.stop()
