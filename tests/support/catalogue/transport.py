"""Headers, encodings, sizes and routes: requests that are wrong before anybody looks at their values."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from typing import Any

from cases import JSON, Case
from catalogue.building import (
    CSV,
    FEATURES,
    HEADER,
    INFER,
    NO_TYPE,
    PREDICT,
    ROW,
    Wrong,
    bodied,
    echo,
    echoed,
    wrong,
)

_GOOD = json.dumps({"features": ROW}).encode()
_LIMIT = 4_500_000
_UNSUPPORTED: dict[str, Any] = {"status": 415, "code": "unsupported_media_type"}
_LARGE: dict[str, Any] = {"status": 413, "code": "too_large"}
_OCTETS = {"content-type": "application/octet-stream"}
_SAMPLE = "/v2/models/breast-cancer/infer"


def _packed(content: bytes) -> bytes:
    """gzip that is the same in every process."""
    return gzip.compress(content, mtime=0)


def _typed(media_type: str, path: str) -> Wrong:
    return wrong(
        "breast-cancer",
        f"{media_type} for {path}",
        _GOOD,
        path=path,
        headers={"content-type": media_type},
        **_UNSUPPORTED,
    )


def _length(length: str) -> Wrong:
    body, headers = bodied(echo())
    return wrong(
        "echo",
        f"a document of {length!r:.30} bytes",
        body,
        None,
        f"the header {HEADER} is",
        path=INFER,
        headers=headers | {HEADER: length},
        is_text=False,
    )


HEADERS: list[Wrong] = [
    *(_typed(media_type, "/predict") for media_type in ("text/plain", "application/xml", "text/csv", "json", "*/*")),
    *(
        _typed("application/x-www-form-urlencoded", path)
        for path in ("/predict_batch", _SAMPLE, PREDICT, "/invocations")
    ),
    _typed("application/octet-stream", _SAMPLE),
    _typed("multipart/form-data; boundary=x", "/invocations"),
    _typed("text/csv; charset=latin-1", "/invocations"),
    _typed("text/csv; header=absent", "/invocations"),
    *(_length(length) for length in ("-1", "1.5", "0x10", "ten", "9" * 9, "9" * 40, "1,1")),
    wrong(
        "echo",
        "a document of no bytes",
        bodied(echo())[0],
        "$",
        "the body is empty",
        path=INFER,
        headers=_OCTETS | {HEADER: "0"},
        is_text=False,
    ),
    wrong(
        "echo",
        "a document that is cut short",
        bodied(echo())[0],
        None,
        "the body is not valid JSON",
        path=INFER,
        headers=_OCTETS | {HEADER: "20"},
        is_text=False,
    ),
    wrong(
        "echo",
        "bytes that are called JSON",
        bodied(echo(), b"\x00\x01")[0],
        None,
        "found content type",
        path=INFER,
        headers=JSON | {HEADER: bodied(echo())[1][HEADER]},
        is_text=False,
        **_UNSUPPORTED,
    ),
    wrong(
        "echo",
        "bytes that are called text",
        bodied(echo(), b"more")[0],
        None,
        "found content type",
        path=INFER,
        headers={"content-type": "text/plain", HEADER: bodied(echo())[1][HEADER]},
        is_text=False,
        **_UNSUPPORTED,
    ),
]


def _encoded(name: str, encoding: str, body: bytes, message: str, **fields: Any) -> Wrong:
    headers = {"content-encoding": encoding}
    return wrong("breast-cancer", name, body, None, message, headers=headers, is_text=False, **fields)


ENCODINGS: list[Wrong] = [
    *(
        _encoded(f"the encoding {encoding!r}", encoding, _GOOD, "found content encoding", **_UNSUPPORTED)
        for encoding in ("br", "zstd", "compress", "gzip, gzip", "gzip, br", "identity, gzip", "utf-8", "*")
    ),
    _encoded("plain text for gzip", "gzip", _GOOD, "the body is not gzip"),
    _encoded("zlib for gzip", "gzip", zlib.compress(_GOOD), "the body is not gzip"),
    _encoded("gzip for zlib", "deflate", _packed(_GOOD), "the body is not deflate"),
    _encoded("deflate without zlib's frame", "deflate", zlib.compress(_GOOD, wbits=-15), "the body is not deflate"),
    _encoded("half of a gzip", "gzip", _packed(_GOOD)[:40], "the gzip body is truncated"),
    _encoded("a gzip without its last byte", "gzip", _packed(_GOOD)[:-1], "the gzip body is truncated"),
    _encoded("a gzip with a wrong sum", "gzip", _packed(_GOOD)[:-8] + bytes(8), "the body is not gzip"),
    _encoded(
        "a gzip with more behind it", "gzip", _packed(_GOOD) + b"x", "found 1 bytes after the end of the gzip body"
    ),
    _encoded("two gzips", "gzip", _packed(_GOOD) * 2, "", path="/predict"),
    _encoded("a gzip in a gzip", "gzip", _packed(_packed(_GOOD)), "the body is not UTF-8"),
    _encoded("half a character, compressed", "gzip", _packed(_GOOD + b"\xc3"), "the body is not UTF-8"),
]


def _bytes(name: str, given: tuple[str, list[int], object, bytes], message: str, at: str = "") -> Wrong:
    """Return a wrong input of `echo`, given as (datatype, shape, size, bytes)."""
    datatype, shape, size, data = given
    changes = {"shape": shape, "data": None, "parameters": {"binary_data_size": size}}
    body, headers = bodied(echo(datatype, changes), data)
    return wrong("echo", name, body, f"$.inputs[0]{at}", message, path=INFER, headers=headers, is_text=False)


_SIZE = ".parameters.binary_data_size"


def _strings(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _two(name: str, content: bytes, message: str) -> Wrong:
    return _bytes(name, ("BYTES", [1, 2], len(content), content), message)


BINARY: list[Wrong] = [
    _bytes(
        "more bytes than there are", ("FP32", [1, 2], 8, bytes(7)), "expected 8 bytes of binary data, found 7", _SIZE
    ),
    _bytes("no bytes at all", ("FP32", [1, 2], 8, b""), "expected 8 bytes of binary data, found 0", _SIZE),
    _bytes("bytes for fewer values", ("FP32", [1, 2], 4, bytes(4)), "expected 8 bytes for FP32 of shape [1, 2]", _SIZE),
    _bytes(
        "bytes for more values", ("FP32", [1, 2], 12, bytes(12)), "expected 8 bytes for FP32 of shape [1, 2]", _SIZE
    ),
    _bytes(
        "bytes of a wider datatype", ("INT16", [1, 2], 8, bytes(8)), "expected 4 bytes for INT16 of shape [1, 2]", _SIZE
    ),
    *(
        _bytes(f"the size {size!r}", ("INT8", [1, 4], size, bytes(4)), "expected a number of bytes", _SIZE)
        for size in (-4, 4.0, "4", True)
    ),
    _bytes("a size beyond all memory", ("INT8", [1, 4], 10**18, bytes(4)), "expected 1000000000000000000 bytes", _SIZE),
    _bytes(
        "a shape beyond all memory",
        ("INT8", [10**9, 10**9], 4, bytes(4)),
        "expected 1000000000000000000 bytes for",
        _SIZE,
    ),
    _bytes("a boolean of 2", ("BOOL", [1, 3], 3, b"\0\1\2"), "expected bytes of 0 or 1"),
    _two("a string too few", _strings(b"one"), "expected 2 strings, found 1"),
    _two("a string too many", _strings(b"1", b"2", b"3"), "expected 2 strings, found 3"),
    _two("no strings", b"", "expected 2 strings, found 0"),
    _two("a length of three bytes", _strings(b"one") + bytes(3), "string 1: expected its length in 4 bytes"),
    _two("a string of 4 GB", _strings(b"one") + b"\xff" * 4, "string 1: expected 4294967295 bytes"),
    _two("a string beyond the tensor", _strings(b"one") + b"\4\0\0\0abc", "string 1: expected 4 bytes, found 3"),
    _two("strings that are not UTF-8", _strings(b"one", b"\xff\xfe"), "string 1 is not UTF-8"),
    _two("half a character", _strings(b"one", b"\xed\xa0\x80"), "string 1 is not UTF-8"),
    wrong(
        "echo",
        "bytes that belong to nothing",
        bodied(echo(), b"more")[0],
        "$.inputs",
        "found 4 bytes of binary data after the last input",
        path=INFER,
        headers=bodied(echo())[1],
        is_text=False,
    ),
    echoed("both values and bytes", "INT8", {"parameters": {"binary_data_size": 1}}, message="found both data and"),
    wrong(
        "echo",
        "bytes without the header",
        echo("INT8", {"data": None, "parameters": {"binary_data_size": 1}}),
        f"$.inputs[0]{_SIZE}",
        f"binary data requires the header {HEADER}",
        path=INFER,
    ),
]

_BLANKS = b" " * (_LIMIT + 1)


def _matrix(datatype: str, count: int, **more: Any) -> dict[str, Any]:
    return echo(datatype, {"shape": [1, count], **more}, outputs=[{"name": f"out_{datatype}"}])


def _replied() -> list[Wrong]:
    """Return requests within the limit whose responses exceed it."""
    as_json, headers = bodied(_matrix("FP32", 300_000, data=[0.1] * 300_000))
    size = {"parameters": {"binary_data_size": 1_300_000}, "data": None}
    as_bytes, more = bodied(_matrix("UINT8", 1_300_000, **size), b"\xff" * 1_300_000)
    message = "the response would have"
    return [
        wrong(
            "echo",
            "a reply beyond the limit",
            as_json,
            None,
            message,
            path=INFER,
            headers=headers,
            is_text=False,
            **_LARGE,
        ),
        wrong(
            "echo",
            "a reply of bytes as text",
            as_bytes,
            None,
            message,
            path=INFER,
            headers=more,
            is_text=False,
            **_LARGE,
        ),
    ]


OVERSIZE: list[Wrong] = [
    *(
        wrong(
            "breast-cancer",
            f"4.5 MB and a byte for {path}",
            _BLANKS,
            None,
            "the body exceeds the limit of 4500000 bytes",
            path=path,
            **_LARGE,
        )
        for path in ("/predict", "/predict_batch", _SAMPLE, PREDICT, "/invocations")
    ),
    wrong(
        "rents",
        "CSV beyond the limit",
        _BLANKS,
        None,
        "the body exceeds the limit",
        path="/invocations",
        headers=CSV,
        **_LARGE,
    ),
    wrong(
        "echo",
        "bytes beyond the limit",
        bytes(_LIMIT + 1),
        None,
        "the body exceeds the limit",
        path=INFER,
        headers=_OCTETS | {HEADER: "9"},
        is_text=False,
        **_LARGE,
    ),
    _encoded("gzip beyond the limit", "gzip", bytes(_LIMIT + 1), "the body exceeds the limit", **_LARGE),
    *_replied(),
]


def _bomb(megabytes: int, unit: bytes = b" ") -> bytes:
    """gzip of so many megabytes of one and the same byte."""
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(stream.compress(unit * 1_000_000) for _ in range(megabytes)) + stream.flush()


def _burst(name: str, encoding: str, body: bytes, path: str = "/predict", **fields: Any) -> Wrong:
    message = f"the decompressed body exceeds the limit of {_LIMIT} bytes"
    return wrong(
        "breast-cancer",
        name,
        body,
        None,
        message,
        path=path,
        headers={"content-encoding": encoding},
        is_text=False,
        **_LARGE,
        **fields,
    )


BOMBS: list[Wrong] = [
    *(
        _burst(f"5 MB in a gzip for {path}", "gzip", _bomb(5), path)
        for path in ("/predict_batch", _SAMPLE, PREDICT, "/invocations")
    ),
    _burst("200 MB in a gzip", "gzip", _bomb(200)),
    _burst("200 MB in a deflate", "deflate", zlib.compress(bytes(200_000_000), 9)),
    _burst("one byte too many", "gzip", _packed(_BLANKS)),
    _burst("a gzip of gzips", "gzip", _packed(_bomb(1, b"\0") * 1 + bytes(_LIMIT))),
    _encoded("4 MB of brackets", "gzip", _bomb(4, b"["), "the body is nested too deeply"),
    _encoded("4 MB of digits", "gzip", _bomb(4, b"9"), ""),
    wrong(
        "breast-cancer",
        "4 MB of blanks",
        _bomb(4),
        "$",
        "the body is empty",
        headers={"content-encoding": "gzip"},
        is_text=False,
    ),
    wrong(
        "breast-cancer",
        "4 MB of features",
        _packed(b'{"features": [' + b"1," * 2_000_000 + b"1]}"),
        "$.features",
        "expected 30 features, found 2000001",
        headers={"content-encoding": "gzip"},
        is_text=False,
    ),
    wrong(
        "breast-cancer",
        "4 MB of one key",
        _packed(b"{" + b'"a":1,' * 600_000 + b'"a":1}'),
        "$",
        'duplicate key "a"',
        headers={"content-encoding": "gzip"},
        is_text=False,
    ),
    wrong(
        "breast-cancer",
        "4 MB of objects",
        _packed(b'{"instances": [' + b"{}," * 1_300_000 + b"{}]}"),
        "$.instances[0]",
        f'the feature "{FEATURES[0]}" is missing',
        path="/predict_batch",
        headers={"content-encoding": "gzip"},
        is_text=False,
    ),
]


def _missing(method: str, path: str, message: str = "there is no ") -> Wrong:
    return Wrong(
        "breast-cancer",
        Case(
            f"{method} {path}", method=method, path=path, headers=NO_TYPE, status=404, code="not_found", message=message
        ),
    )


VERSIONS: list[Wrong] = [
    *(
        _missing("GET", f"/v2/models/breast-cancer/versions/{version}", "unknown version")
        for version in ("0", "2", "-1", "01", "1.0", "latest", "%31%31", "9" * 50)
    ),
    _missing("GET", "/v2/models/breast-cancer/versions/2/ready", "unknown version"),
    _missing("POST", "/v2/models/breast-cancer/versions/2/infer", "unknown version"),
    *(
        _missing("GET", path, "unknown model")
        for path in ("/v2/models/other", "/v2/models/Breast-cancer", "/v1/models/other")
    ),
    *(_missing("POST", path, "unknown model") for path in ("/v2/models/other/infer", "/v1/models/other:predict")),
    _missing("GET", "/v2/models/other/ready", "unknown model"),
    _missing("GET", "/v2/models/other/versions/1", "unknown model"),
]


def _refused(method: str, path: str) -> Wrong:
    return Wrong(
        "breast-cancer",
        Case(
            f"{method} {path}",
            method=method,
            path=path,
            headers=NO_TYPE,
            status=405,
            code="method_not_allowed",
            message=f"{path} accepts ",
        ),
    )


ROUTES: list[Wrong] = [
    *(
        _missing("GET", path, "unknown route")
        for path in ("/v2/health", "/v2/models", "/v3", "/v1", "/docs", "/v2/models/m/load")
    ),
    *(_missing("POST", path, "unknown route") for path in ("/v1/models/breast-cancer:explain/x", "/invocations/")),
    _refused("GET", _SAMPLE),
    _refused("GET", "/invocations"),
    _refused("GET", PREDICT),
    _refused("POST", "/v2"),
    _refused("POST", "/ping"),
    _refused("PUT", "/predict"),
    _refused("DELETE", "/v2/models/breast-cancer"),
    _refused("PATCH", "/v1/models/breast-cancer"),
]
