"""Syntax and numbers: bodies that are no JSON or no CSV, and values that a datatype does not hold."""

from __future__ import annotations

import codecs
import json
from typing import Any

from cases import JSON
from catalogue.building import CSV, FLAT, INFER, PREDICT, ROW, Wrong, echo, echoed, table, wrong

_TEXTS: list[tuple[str, bytes, str | None, str]] = [
    ("a list that is cut off", b'{"features": [1, 2', None, "the body is not valid JSON"),
    ("a comma at the end", b'{"features": [1, 2,]}', None, "the body is not valid JSON"),
    ("a key without quotes", b"{features: []}", None, "the body is not valid JSON"),
    ("single quotes", b"{'features': []}", None, "the body is not valid JSON"),
    ("a comment", b'{"features": [] /* none */}', None, "the body is not valid JSON"),
    ("two documents", b'{"features": []} {}', None, "the body is not valid JSON"),
    ("a number with a plus", b'{"features": [+1]}', None, "the body is not valid JSON"),
    ("a number with a nought before it", b'{"features": [01]}', None, "the body is not valid JSON"),
    ("a hexadecimal number", b'{"features": [0x1]}', None, "the body is not valid JSON"),
    ("a tab in a string", b'{"fea\ttures": []}', None, "the body is not valid JSON"),
    ("an escape that there is not", b'{"features": ["\\x"]}', None, "the body is not valid JSON"),
    ("True with a capital letter", b'{"features": [True]}', None, "the body is not valid JSON"),
    ("a NaN", b'{"features": [NaN]}', "$.features[0]", "NaN is not JSON"),
    ("an infinity", b'{"features": [1, -Infinity]}', "$.features[1]", "-Infinity is not JSON"),
    ("a key twice", b'{"features": [], "features": []}', "$", 'duplicate key "features"'),
    ("a key twice, within", b'{"features": {"a": 1, "a": 1}}', "$.features", 'duplicate key "a"'),
    (
        "arrays too deep",
        b'{"features": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        None,
        "the body is nested too deeply",
    ),
    ("objects too deep", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, None, "the body is nested too deeply"),
    ("a number of many digits", b'{"features": [' + b"9" * 5000 + b"]}", None, ""),
    ("an array for a body", b"[1, 2]", "$", "expected an object"),
    ("a string for a body", b'"features"', "$", "expected an object"),
    ("a number for a body", b"1", "$", "expected an object"),
    ("null for a body", b"null", "$", "expected an object"),
]

_PATHS = ("/predict", "/predict_batch", "/v2/models/breast-cancer/infer", PREDICT, "/invocations")

_AS_CSV: dict[str, Any] = {"path": "/invocations", "headers": CSV}

SYNTAX: list[Wrong] = [
    *(wrong("breast-cancer", name, body, place, message) for name, body, place, message in _TEXTS),
    *(wrong("breast-cancer", f"nothing for {path}", b"", "$", "the body is empty", path=path) for path in _PATHS),
    *(wrong("breast-cancer", f"blanks for {path}", b" \n", "$", "the body is empty", path=path) for path in _PATHS[1:]),
    *(
        wrong("breast-cancer", f"UTF-{bits}", json.dumps({"features": ROW}).encode(f"utf-{bits}"), is_text=False)
        for bits in (16, 32)
    ),
    *(
        wrong("rents", f"{name} in {kind}", body, None, "the body is not UTF-8", is_text=False, **sent)
        for name, city in (("Latin-1", b"Z\xfcrich"), ("half a character", b"Z\xc3rich"))
        for kind, body, sent in (
            ("JSON", json.dumps({"features": FLAT}).encode().replace(b"Derby", city), {}),
            ("CSV", b"city,rooms,area,floor\n%s,2,50.5,3\n" % city, _AS_CSV),
        )
    ),
    wrong("breast-cancer", "a mark at the beginning", codecs.BOM_UTF8 + b'{"features": []}', None, "the body is"),
    wrong("rents", "CSV with an open quote", b'city,rooms,area,floor\n"Derby,1,1,1', path="/invocations", headers=CSV),
    wrong(
        "rents", "CSV with text behind a quote", b'city,rooms,area,floor\n"a"b,1,1,1', path="/invocations", headers=CSV
    ),
    wrong("rents", "CSV without a row", b"city,rooms,area,floor\n", path="/invocations", headers=CSV),
    wrong("rents", "CSV with a short row", b"city,rooms,area,floor\nDerby,1,1\n", path="/invocations", headers=CSV),
    wrong("rents", "CSV with nothing in it", b"\n\n\n", path="/invocations", headers=CSV),
]

_NUMBERS: list[tuple[str, Any]] = [
    *(("INT8", value) for value in (128, -129, 1.5, 128.0, True, "1", None)),
    *(("UINT8", value) for value in (256, -1)),
    *(("INT16", value) for value in (2**15, 1.5)),
    *(("UINT16", value) for value in (2**16, -1)),
    *(("INT32", value) for value in (2**31, -(2**31) - 1)),
    *(("UINT32", value) for value in (2**32, 0.5)),
    *(("INT64", value) for value in (2**63, 1.7, 1e18, 2.0**53, 10**30)),
    *(("UINT64", value) for value in (2**64, -1)),
    *(("FP32", value) for value in ("1.5", True, None)),
    *(("FP64", value) for value in ("nan", False)),
    *(("BOOL", value) for value in (1, 0.0, "true", None)),
    *(("BYTES", value) for value in (1, 1.5, False, None, "\ud800")),
]
_OVERFLOWS: list[tuple[str, Any]] = [
    *(("FP32", value) for value in (3.5e38, -1e300, 10**40)),
    ("FP64", 10**400),
]

_CELLS = ("1_000", "0x10", "nan", "inf", "", " 1", "1,5", "\N{ARABIC-INDIC DIGIT ONE}")

NUMBERS: list[Wrong] = [
    *(
        echoed(f"{value!r:.40} for {datatype}", datatype, {"data": [value]}, "$.inputs[0].data[0]", message)
        for message, values in (("expected ", _NUMBERS), ("number is out of range for ", _OVERFLOWS))
        for datatype, value in values
    ),
    wrong(
        "echo",
        "a number beyond FP64",
        json.dumps(echo("FP64", {"data": ["x"]})).replace('"x"', "1e999").encode(),
        "$.inputs[0].data[0]",
        "number is out of range for FP64",
        path=INFER,
        headers=JSON,
    ),
    *(
        wrong(
            "rents",
            f"a cell {cell!r}",
            f'city,rooms,area,floor\nDerby,"{cell}",1,1\n'.encode(),
            None,
            f'line 2, column "rooms": {message}',
            path="/invocations",
            headers=CSV,
        )
        for message, cells in (("expected a number", _CELLS), ("number is out of range for FP32", ("1e999",)))
        for cell in cells
    ),
    wrong("rents", "a number for a string", {"features": FLAT | {"city": 7}}, "$.features.city", "expected a string"),
    wrong(
        "rents",
        "a string for a number",
        table(data=[["Derby", "2", 50.5, 3]]),
        "$.dataframe_split.data[0][1]",
        "expected a number",
        path="/invocations",
    ),
    wrong(
        "breast-cancer",
        "a null in the second of two rows",
        {"instances": [ROW, [*ROW[1:], None]]},
        "$.instances[1][29]",
        "expected a number",
        path=PREDICT,
    ),
]
