"""Two parsers and two writers, one behaviour: what orjson reads and writes is what the standard library does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import orjson
import pytest

from json_corpus import CORPUS, REQUESTS
from pilotlight.codec import json_fast, json_strict
from pilotlight.codec.body import read_json
from pilotlight.codec.encode import to_json
from pilotlight.errors import InvalidRequest
from properties import example, given, st

TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ["", "a", "[", "]", "{", "}", ":", "e-05", "\\", '"', "é"]
)
FLOATS = (
    st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e-3, 1e-3) | st.floats(width=32, allow_nan=False)
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**65), 2**65)
    | FLOATS.filter(lambda x: abs(x) < 1e400)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=30,
)
PIECES = st.sampled_from(
    [
        *'[]{}:,"\\-+.eE0123456789 \n',
        "true",
        "false",
        "null",
        "NaN",
        '"a"',
        '"b":',
        '"a":1',
        "1.5",
        "00000000000000",
        "\\u003a",
    ]
)


def outcome(parse: Callable[[bytes], object], body: bytes) -> tuple[str, ...]:
    """Return the result for a body: the value to its last bit and its types, or the error."""
    try:
        return ("value", repr(parse(body)))
    except InvalidRequest as error:
        return ("error", error.message, str(error.path))
    except json_fast.Doubtful:
        return ("doubtful",)


def fast(body: bytes) -> tuple[str, ...]:
    return outcome(lambda body: json_fast.parse(orjson, body), body)


def strict(body: bytes) -> tuple[str, ...]:
    return outcome(json_strict.parse, body)


def assert_agree(body: bytes) -> None:
    assert fast(body) in (strict(body), ("doubtful",))
    assert outcome(read_json, body) == strict(body)


@pytest.mark.parametrize("body", CORPUS, ids=range(len(CORPUS)))
def test_both_parsers_make_the_same_of_a_tricky_document(body: bytes) -> None:
    assert_agree(body)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]), st.sampled_from([(",", ":"), (" , ", " : ")]))
def test_both_parsers_read_the_same_values(
    value: object, ascii_only: bool, indent: int | None, separators: tuple[str, str]
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent, separators=separators).encode()
    assert strict(body) == ("value", repr(value))
    assert_agree(body)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_both_parsers_agree_on_what_looks_like_json(text: str) -> None:
    assert_agree(text.encode())


@given(st.sampled_from(REQUESTS), st.data())
def test_both_parsers_agree_on_a_request_with_a_fault_in_it(request: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(request)))
    end = data.draw(st.integers(start, min(start + 5, len(request))))
    assert_agree((request[:start] + data.draw(PIECES) + request[end:]).encode())


@given(st.binary())
def test_both_parsers_agree_on_any_bytes(body: bytes) -> None:
    assert_agree(body)


TEXTUAL = ['{"instances": ["a: [b]", "{c}: d", "e"]}', '{"instances": [' + '["10:30", "[x]"], ' * 100 + '["", ""]]}']


@pytest.mark.parametrize("body", [*REQUESTS, *TEXTUAL], ids=range(len(REQUESTS) + len(TEXTUAL)))
def test_an_ordinary_request_is_read_by_the_fast_parser(body: str) -> None:
    assert fast(body.encode())[0] == "value"


@pytest.mark.parametrize("number", ["0.00012345678901234567", "1" * 18, "-" + "1" * 18])
def test_numbers_of_many_digits_that_64_bits_hold_are_read_by_the_fast_parser(number: str) -> None:
    assert fast(f"[{number}]".encode())[0] == "value"


@given(VALUES)
@example([1e-5, -1.5e-5, 1e-6, -9.5e-9, 1e-10, 1e16, 1e22, 5e-324, "1.5e-05", {"e-06": 1e-6}])
def test_both_writers_write_the_same_bytes(value: object) -> None:
    assert json_fast.library() is orjson
    assert to_json(value) == json_strict.write(value)
    assert json.loads(to_json(value)) == value


ALONE = """
import sys, threading
from pilotlight.codec import json_fast
{first}
json_fast.import_without_types()
print(*(name for name in ("dataclasses", "uuid") if name in sys.modules))
from pilotlight.codec.encode import to_json
from dataclasses import dataclass
from uuid import UUID
print(to_json([0.5, "a", {{"b": None}}]).decode(), UUID(int=1).hex[-2:], dataclass(type("A", (), {{}}))())
"""


@pytest.mark.parametrize(
    ("first", "present"), [("", ""), ("import uuid", "uuid"), ("import dataclasses", "dataclasses")]
)
def test_a_start_imports_the_parser_without_what_it_does_not_need(first: str, present: str) -> None:
    code = [sys.executable, "-I", "-c", ALONE.format(first=first)]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [present, '[0.5,"a",{"b":null}] 01 A()']


def test_without_the_fast_parser_bodies_are_read_and_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "orjson", None)
    json_fast.library.cache_clear()
    try:
        numbers = [0.5] * 40_000
        assert read_json(to_json(numbers)) == numbers
        assert json_fast.library() is None
    finally:
        json_fast.library.cache_clear()
