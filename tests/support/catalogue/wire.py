"""Requests that are malformed as they go over the wire: where they end, or what they say, is open to doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_CHUNKED = "Transfer-Encoding: chunked"
_LINE = "POST /predict HTTP/1.1"


@dataclass(frozen=True, slots=True)
class Wire:
    """Bytes that a client sends before it ends its side, and the status that they get."""

    name: str
    sent: bytes
    status: int = 400


def request(*lines: str, line: str = _LINE, body: bytes = b"") -> bytes:
    """Return a request with those header lines behind its host."""
    return "".join(f"{one}\r\n" for one in (line, "Host: x", *lines, "")).encode("latin-1") + body


def _table(status: int, cases: Mapping[str, bytes]) -> list[Wire]:
    return [Wire(name, sent, status) for name, sent in cases.items()]


def _lengths(*lines: str) -> bytes:
    return request(*lines, body=b"{}")


def _chunks(body: bytes, *lines: str) -> bytes:
    return request("Content-Type: application/json", _CHUNKED, *lines, body=body)


LINES = _table(
    400,
    {
        "no version": b"GET /health\r\n\r\n",
        "a version of one number": request(line="GET /health HTTP/1"),
        "a version with a sign": request(line="GET /health HTTP/+1.1"),
        "another protocol": request(line="GET /health HTCPCP/1.0"),
        "two blanks": request(line="GET  /health HTTP/1.1"),
        "a tab for a blank": request(line="GET\t/health HTTP/1.1"),
        "a blank in the path": request(line="GET /health /live HTTP/1.1"),
        "a method in lower case": request(line="get /health HTTP/1.1"),
        "a method that is no token": request(line="G(T /health HTTP/1.1"),
        "no method": request(line=" /health HTTP/1.1"),
        "a path without its slash": request(line="GET health HTTP/1.1"),
        "an asterisk": request(line="GET * HTTP/1.1"),
        "bytes beyond ASCII in the path": request(line="GET /h\xe9alth HTTP/1.1"),
        "a control character in the path": request(line="GET /he\x01alth HTTP/1.1"),
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    },
)

FIELDS = _table(
    400,
    {
        "a header without a name": request(": x"),
        "a header without a colon": request("x"),
        "a blank before the colon": request("X-A : x"),
        "a name that is no token": request("X(A): x"),
        "a name beyond ASCII": request("X-\xe9: x"),
        "a length with a blank of another script in its name": request("Content-Length\x85: 2", body=b"{}"),
        "chunks with a blank of another script in their name": request("Transfer-Encoding\xa0: chunked"),
        "a folded line": request("X-A: x", " y"),
        "a bare CR in a value": request("X-A: x\ry"),
        "a bare CR that hides a length": request("X-A: x\rContent-Length: 9", "Content-Length: 2", body=b"{}"),
        "a bare LF between headers": request("X-A: x\nX-B: y"),
        "a NUL in a value": request("X-A: x\0y"),
        "a DEL in a value": request("X-A: x\x7f"),
        "two hosts": request("Host: y"),
        "two content types": request("Content-Type: application/json", "Content-Type: text/csv", "Content-Length: 0"),
    },
)

LENGTHS = _table(
    400,
    {
        "two lengths that disagree": _lengths("Content-Length: 2", "Content-Length: 9"),
        "two lengths that agree": _lengths("Content-Length: 2", "Content-Length: 2"),
        "two lengths in one header": _lengths("Content-Length: 2, 2"),
        "a second length behind a line without a name": _lengths("Content-Length: 2", ": x", "Content-Length: 9"),
        "a length with a sign": _lengths("Content-Length: +2"),
        "a negative length": _lengths("Content-Length: -2"),
        "a length in hexadecimal": _lengths("Content-Length: 0x2"),
        "a length with an underscore": _lengths("Content-Length: 1_0"),
        "a length in another script": _lengths("Content-Length: \xb2"),
        "a length in words": _lengths("Content-Length: two"),
        "an empty length": _lengths("Content-Length:"),
        "a length of 5,000 digits": _lengths(f"Content-Length: {'9' * 5000}"),
        "a length and chunks": _lengths("Content-Length: 2", _CHUNKED),
        "chunks behind a control character": _lengths("Transfer-Encoding: \x0bchunked"),
        "chunks twice": _lengths(_CHUNKED, _CHUNKED),
        "chunks before another coding": _lengths("Transfer-Encoding: chunked, gzip"),
        "a coding without an end": _lengths("Transfer-Encoding: identity"),
        "chunks in HTTP/1.0": request(_CHUNKED, line="POST /predict HTTP/1.0", body=b"0\r\n\r\n"),
        "a body that is shorter": request("Content-Length: 9", body=b"{}"),
        "no body": request("Content-Length: 9"),
    },
)

CHUNKS = _table(
    400,
    {
        "a size with a plus": _chunks(b"+2\r\n{}\r\n0\r\n\r\n"),
        "a size with a minus": _chunks(b"-2\r\n{}\r\n0\r\n\r\n"),
        "a size with an underscore": _chunks(b"0_2\r\n{}\r\n0\r\n\r\n"),
        "a size with 0x": _chunks(b"0x2\r\n{}\r\n0\r\n\r\n"),
        "a size with a blank before it": _chunks(b" 2\r\n{}\r\n0\r\n\r\n"),
        "a size with a blank behind it": _chunks(b"2 \r\n{}\r\n0\r\n\r\n"),
        "no size": _chunks(b"\r\n{}\r\n0\r\n\r\n"),
        "a size that is no number": _chunks(b"zz\r\n{}\r\n0\r\n\r\n"),
        "a size in another script": _chunks("٢\r\n{}\r\n0\r\n\r\n".encode()),
        "a line that ends with LF": _chunks(b"2\n{}\r\n0\r\n\r\n"),
        "a line that ends with CR": _chunks(b"2\r{}\r\n0\r\n\r\n"),
        "a chunk that ends with LF": _chunks(b"2\r\n{}\n0\r\n\r\n"),
        "a chunk without its end": _chunks(b"2\r\n{}0\r\n\r\n"),
        "a chunk that is longer than its size": _chunks(b"2\r\n{} \r\n0\r\n\r\n"),
        "a chunk that breaks off": _chunks(b"9\r\n{}"),
        "no last chunk": _chunks(b"2\r\n{}\r\n"),
        "no end behind the last chunk": _chunks(b"2\r\n{}\r\n0\r\n"),
        "no chunk": _chunks(b""),
        "an extension of 20,000 bytes": _chunks(b"2;" + b"a" * 20_000 + b"\r\n{}\r\n0\r\n\r\n"),
        "an extension that is no token": _chunks(b"2;\x01\r\n{}\r\n0\r\n\r\n"),
        "an extension with a bare CR": _chunks(b"2;a\rb\r\n{}\r\n0\r\n\r\n"),
        "an extension whose quotation is open": _chunks(b'2;a="b\r\n{}\r\n0\r\n\r\n'),
        "a trailer without a colon": _chunks(b"2\r\n{}\r\n0\r\ntrailer\r\n\r\n"),
        "a trailer without a name": _chunks(b"2\r\n{}\r\n0\r\n: x\r\n\r\n"),
        "a trailer with a bare LF": _chunks(b"2\r\n{}\r\n0\r\nA: b\nC: d\r\n\r\n"),
        "a trailer that changes the length": _chunks(b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n"),
        "a trailer that changes the host": _chunks(b"2\r\n{}\r\n0\r\nHost: y\r\n\r\n"),
    },
)

OTHERS = [
    Wire("a coding that nobody knows", _lengths("Transfer-Encoding: x-chunked"), 501),
    Wire("chunks in blanks of another script", _lengths("Transfer-Encoding: \x85chunked\xa0"), 501),
    Wire("chunks behind an empty element", _lengths("Transfer-Encoding: ,chunked"), 501),
    Wire("an expectation that nobody knows", request("Expect: 200-ok", "Content-Length: 0"), 417),
    Wire("a header of 20,000 bytes", request(f"X-A: {'a' * 20_000}"), 431),
    Wire("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
]

WIRES: dict[str, list[Wire]] = {
    "request line": LINES,
    "fields": FIELDS,
    "lengths": LENGTHS,
    "chunks": CHUNKS,
    "others": OTHERS,
}

# Targets, and the status that a good prediction gets there.
TARGETS = {
    "/predict": 200,
    "/predict?x=1": 200,
    "/predict?": 200,
    "/%70redict": 200,
    "http://other/predict": 200,
    "HTTP://other:8080/predict?x=1": 200,
    "//predict": 404,
    "///predict": 404,
    "/predict/": 404,
    "/predict//": 404,
    "/./predict": 404,
    "/x/../predict": 404,
    "/predict/.": 404,
    "/%2Fpredict": 404,
    "/predict%2F": 404,
    "/%2570redict": 404,
    "/predict%00": 404,
    "/predict%0A": 404,
    "/predict%ff": 404,
    "/predict%c0%af": 404,
    "/predict%zz": 404,
    "/predict%": 404,
    "/predict+": 404,
    "/predict;x=1": 404,
    "/predict#x": 404,
    "/PREDICT": 404,
    "/prod/predict": 404,
    "/$default/predict": 404,
    "//[": 404,
    "/[": 404,
    "//other/predict": 404,
    "//other:x/predict": 404,
}
