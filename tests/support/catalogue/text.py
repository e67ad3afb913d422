"""Text that is not UTF-8, paths, and no documents: what front ends read differently, by reports of other servers."""

from __future__ import annotations

import json
from typing import Any

from cases import JSON, Case
from catalogue.building import CSV, FLAT, NO_TYPE, ROW, Wrong, wrong

_NOT_UTF_8 = {
    "Latin-1": b"Z\xfcrich",
    "Windows-1252": b"\x93Derby\x94",
    "a byte that begins nothing": b"Derby\xff",
    "a continuation alone": b"Derby\x80",
    "a character of two bytes that breaks off": b"Derb\xc3",
    "a character of three bytes that breaks off": b"Derby\xe2\x82",
    "a character of four bytes that breaks off": b"Derby\xf0\x9f\x98",
    "an overlong slash of two bytes": b"De\xc0\xafrby",
    "an overlong slash of three bytes": b"De\xe0\x80\xafrby",
    "an overlong slash of four bytes": b"De\xf0\x80\x80\xafrby",
    "an overlong NUL": b"De\xc0\x80rby",
    "a high surrogate alone": b"De\xed\xa0\x80rby",
    "a low surrogate alone": b"De\xed\xb0\x80rby",
    "a pair of surrogates": b"De\xed\xa0\xbd\xed\xb8\x80rby",
    "a character beyond Unicode": b"De\xf4\x90\x80\x80rby",
    "a character of five bytes": b"De\xf8\x88\x80\x80\x80rby",
}

_FEATURES = json.dumps({"features": {**FLAT, "city": "CITY"}}).encode()
_GOOD = json.dumps({"features": ROW}).encode()
_TABLE = b"city,rooms,area,floor\nCITY,2,50.5,3\n"
_TYPES = ("application/json", "application/json; charset=utf-8", "application/vnd.api+json", "")


def _headers(content_type: str) -> dict[str, str]:
    return {"content-type": content_type} if content_type else {}


TEXT: list[Wrong] = [
    *(
        wrong(
            "rents",
            f"{name} in {content_type or 'no type'}",
            _FEATURES.replace(b"CITY", city),
            message="the body is not UTF-8",
            headers=_headers(content_type),
            is_text=False,
        )
        for name, city in _NOT_UTF_8.items()
        for content_type in (_TYPES if name == "Latin-1" else _TYPES[:1])
    ),
    *(
        wrong(
            "rents",
            f"{name} in CSV",
            _TABLE.replace(b"CITY", city),
            message="the body is not UTF-8",
            path="/invocations",
            headers=CSV,
            is_text=False,
        )
        for name, city in _NOT_UTF_8.items()
    ),
    *(
        wrong("rents", f"JSON in {coding}", _FEATURES.decode().encode(coding), message="the body is not", is_text=False)
        for coding in ("utf-16", "utf-32")
    ),
]


def _unknown(path: str) -> Wrong:
    case = Case(f"POST {path}", _GOOD, path=path, status=404, code="not_found", message="unknown route")
    return Wrong("breast-cancer", case)


PATHS: list[Wrong] = [
    *map(
        _unknown,
        (
            "/prod/predict",
            "/$default/predict",
            "/predict//",
            "///predict",
            "/predict%2F",
            "/%2570redict",
            "/predict%00",
            "/predict%0A",
            "/predict%ff",
            "/predict%c0%af",
            "/predict%25",
            "/predict+",
            "/predict;x=1",
            "/PREDICT",
            "/predict.json",
            "/api/predict",
        ),
    ),
]

_TYPED: dict[str, Any] = {"status": 415, "code": "unsupported_media_type", "message": "found content type"}

FRONTS: list[Wrong] = [
    # what clients and consoles send in place of a document
    wrong("breast-cancer", "nothing", b"", "$", "the body is empty"),
    wrong("breast-cancer", "nothing, without a type", b"", "$", "the body is empty", headers=NO_TYPE),
    wrong("breast-cancer", "null", b"null", "$", "expected an object"),
    wrong("breast-cancer", "#", b"#", message="the body is not valid JSON"),
    wrong("breast-cancer", "a document in a string", json.dumps(_GOOD.decode()), "$", "expected an object"),
    wrong("breast-cancer", "a document in single quotes", b"'{}'", message="the body is not valid JSON"),
    wrong("breast-cancer", "[object Object]", b"[object Object]", message="the body is not valid JSON"),
    wrong("breast-cancer", "undefined", b"undefined", message="the body is not valid JSON"),
    wrong("breast-cancer", "a comment", b"{} // a row", message="the body is not valid JSON"),
    wrong("breast-cancer", "a comma at the end", b'{"features": [1,],}', message="the body is not valid JSON"),
    wrong("breast-cancer", "base64", b"eyJmZWF0dXJlcyI6IFtdfQ==", message="the body is not valid JSON"),
    wrong("breast-cancer", "an event in an event", {"body": "{}", "isBase64Encoded": False}, "$"),
    wrong("breast-cancer", "a document below data", {"data": {"features": ROW}}, "$"),
    wrong("breast-cancer", "a document below features", {"features": {"features": ROW}}, "$.features"),
    wrong(
        "breast-cancer", "a form", b"features=1&features=2", headers=_headers("application/json"), message="the body"
    ),
    # types that some servers take for JSON, by case or by their beginning
    *(
        wrong("breast-cancer", f"JSON as {found}", _GOOD, headers=_headers(found), **_TYPED)
        for found in ("application/jsonp", "application/json5", "application/x-json", "text/json", "json", "*/*")
    ),
    wrong("breast-cancer", "JSON lines", _GOOD + b"\n" + _GOOD, message="the body is not valid JSON", headers=JSON),
]
