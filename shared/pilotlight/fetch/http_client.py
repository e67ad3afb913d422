"""GET and POST requests by HTTP/1.1 (RFC 9112) over a socket, and nothing else of HTTP.

http.client imports the e-mail parser: with it the imports take 1.7 times as long (`bench/fetch.py` prints it). And its
timeout bounds the wait for the next byte, where here the wait for a whole head or for a piece of a body is bounded.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping

from pilotlight.errors import StoreError
from pilotlight.fetch import Deadline
from pilotlight.fetch.tls import Trust
from pilotlight.frozen import dataclass

_PIECE = 1 << 16
_MAX_CONNECT = 3.0  # seconds for one of a host's addresses
_MAX_HEAD = 1 << 16
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class BadResponse(OSError):
    """A response that is not HTTP, or that exceeds the limits of this client."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server, reached by https if `tls` is set, else by http."""

    tls: bool
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The value of a Host header: without the port if that is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def percent_encoded(text: str, safe: bytes = b"") -> str:
    """Return the text percent-encoded (RFC 3986): all but letters, digits, `-._~` and the bytes in `safe`."""
    return "".join(chr(byte) if byte in _UNRESERVED or byte in safe else f"%{byte:02X}" for byte in text.encode())


class Connection:
    """A connection to one server at a time, kept for the next request if the last response allows it."""

    def __init__(self, trust: Trust, index: int = 0) -> None:
        """`index` chooses among a host's addresses: connections that differ in it spread over them."""
        self._trust = trust
        self._index = index
        self._address: Address | None = None
        self._socket: socket.socket | None = None
        self._last: HttpResponse | None = None

    def reach(self, address: Address, deadline: Deadline) -> None:
        """Connect to a server, unless the connection to it can be reused. Raises OSError."""
        if self._socket is None or address != self._address or (self._last and not self._last.is_complete):
            self.close()
            self._socket, self._address = connect(address, self._trust, self._index, deadline), address

    def get(self, address: Address, target: str, headers: Mapping[str, str], deadline: Deadline) -> HttpResponse:
        """Send a GET and return the response, its body still to be read.

        Raises OSError, and StoreError for a header with characters that are not allowed. A server may close a kept
        connection while a request is on its way: the request is then sent once more.
        """
        request = _head(f"GET {target}", {"Host": address.authority, **headers})
        self.reach(address, deadline)
        try:
            return self._send(request, deadline)
        except (ConnectionError, ssl.SSLError):
            if self._last is None:
                raise
        self.close()
        self.reach(address, deadline)
        return self._send(request, deadline)

    def post(
        self, address: Address, target: str, headers: Mapping[str, str], body: bytes, deadline: Deadline
    ) -> HttpResponse:
        """Send a POST and return the response. Raises what `get` does, also if a kept connection is closed."""
        fields = {"Host": address.authority, "Content-Length": str(len(body)), **headers}
        request = _head(f"POST {target}", fields) + body
        self.reach(address, deadline)
        return self._send(request, deadline)

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._socket is not None:
            self._socket.close()
        self._socket = self._last = None

    def _send(self, request: bytes, deadline: Deadline) -> HttpResponse:
        assert self._socket is not None  # noqa: S101 - `reach` has connected it
        self._socket.settimeout(deadline.next_timeout())
        self._socket.sendall(request)
        stream = _Stream(self._socket)
        wait = deadline.of_next_wait()
        status, headers = _read_head(stream, wait)
        while 100 <= status < 200:
            status, headers = _read_head(stream, wait)
        self._last = HttpResponse(status, headers, stream)
        return self._last


class HttpResponse:
    """A status, headers (names in lower case), and a body that is still to be read."""

    def __init__(self, status: int, headers: Mapping[str, str], stream: _Stream) -> None:
        self.status = status
        self.headers = headers
        self.error: OSError | None = None
        self._stream = stream
        self._is_chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self.length = None if self._is_chunked else _content_length(headers.get("content-length"))
        self._left = self.length  # of the body or a chunk; None before the first chunk, or if the body has no length
        self._has_ended = self.length == 0 or status in (204, 304)

    @property
    def is_complete(self) -> bool:
        """Whether all of it was read, so that the connection can be used for another request."""
        is_delimited = self._is_chunked or self.length is not None
        return self._has_ended and is_delimited and self.headers.get("connection", "").lower() != "close"

    def read_into(self, view: memoryview, deadline: Deadline) -> int:
        """Fill `view` and return the count of bytes: fewer at the body's end, or with an `error`, which loses no bytes.

        The time limit is for the whole view, so that a body that drips byte by byte ends in a timeout.
        """
        count = 0
        try:
            wait = deadline.of_next_wait()
            while count < len(view) and not self._has_ended:
                count += self._read_some(view[count:], wait)
        except OSError as error:
            self.error = error
        return count

    def read_text(self, limit: int, deadline: Deadline) -> str:
        """Return up to `limit` bytes of an error's body as text, as far as they come."""
        content = bytearray(limit)
        return content[: self.read_into(memoryview(content), deadline)].decode(errors="replace")

    def _read_some(self, view: memoryview, wait: Deadline) -> int:
        if self._is_chunked and not self._left:
            self._next_chunk(wait)
            if self._has_ended:
                return 0
        count = self._stream.read_into(view if self._left is None else view[: self._left], wait)
        if self._left is not None:
            if not count:
                raise ConnectionError(f"the body ended with {self._left} bytes missing")
            self._left -= count
            self._has_ended = self._left == 0 and not self._is_chunked
        elif not count:
            self._has_ended = True
        return count

    def _next_chunk(self, wait: Deadline) -> None:
        if self._left == 0:
            self._stream.read_until(b"\r\n", wait)  # the end of a chunk's data
        size = self._stream.read_until(b"\r\n", wait).partition(b";")[0].strip()
        try:
            self._left = int(size, 16)
        except ValueError:
            raise BadResponse(f"expected a chunk size in hexadecimal, found {size[:20]!r}") from None
        if self._left == 0:
            while self._stream.read_until(b"\r\n", wait):
                """Skip the trailers."""
            self._has_ended = True


class _Stream:
    """A socket's bytes, those that were received with a head first."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._ahead = b""

    def read_into(self, view: memoryview, deadline: Deadline) -> int:
        """Read once and return the count of bytes; 0 at the end."""
        if self._ahead:
            count = min(len(view), len(self._ahead))
            view[:count], self._ahead = self._ahead[:count], self._ahead[count:]
            return count
        self._source.settimeout(deadline.remaining())
        return self._source.recv_into(view)

    def read_until(self, mark: bytes, deadline: Deadline) -> bytes:
        """Return the bytes before the next `mark`, and skip the mark."""
        while (at := self._ahead.find(mark)) < 0:
            if len(self._ahead) > _MAX_HEAD:
                raise BadResponse(f"expected a line or head of at most {_MAX_HEAD} bytes")
            self._source.settimeout(deadline.remaining())
            more = self._source.recv(_PIECE)
            if not more:
                raise ConnectionError(f"the connection ended after {len(self._ahead)} bytes of a head")
            self._ahead += more
        content, self._ahead = self._ahead[:at], self._ahead[at + len(mark) :]
        return content


def _head(first: str, fields: Mapping[str, str]) -> bytes:
    lines = [f"{first} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise StoreError("a request header has a character that is not printable ASCII")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def _read_head(stream: _Stream, deadline: Deadline) -> tuple[int, dict[str, str]]:
    first, *lines = stream.read_until(b"\r\n\r\n", deadline).decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdecimal() or not rest[:3].isascii():
        raise BadResponse(f"expected an HTTP response, found {first[:40]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if version == "HTTP/1.0":
        headers["connection"] = "close"
    return int(rest[:3]), headers


def _content_length(value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal()):
        raise BadResponse(f"expected digits in content-length, found {value[:20]!r}")
    return int(value)


def connect(address: Address, trust: Trust, index: int, deadline: Deadline) -> socket.socket:
    """Return a connection to a server, verified where it has TLS. Raises OSError, and StoreError for certificates."""
    if not address.tls:
        return _connect_tcp(address, index, deadline)
    context = trust.context()
    try:
        return _wrap_tls(_connect_tcp(address, index, deadline), context, address.host, deadline)
    except ssl.SSLCertVerificationError:
        wider = trust.widened(context)
        if wider is None:
            raise
    return _wrap_tls(_connect_tcp(address, index, deadline), wider, address.host, deadline)


def _wrap_tls(raw: socket.socket, context: ssl.SSLContext, host: str, deadline: Deadline) -> ssl.SSLSocket:
    try:
        raw.settimeout(deadline.next_timeout())
        return context.wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise


def _connect_tcp(address: Address, index: int, deadline: Deadline) -> socket.socket:
    # As bytes: for a str Python imports a codec, and with it tables of Unicode.
    addresses = socket.getaddrinfo(address.host.encode("ascii"), address.port, type=socket.SOCK_STREAM)
    index %= len(addresses)
    last_error: OSError | None = None
    for family, kind, protocol, _, sockaddr in addresses[index:] + addresses[:index]:
        raw = socket.socket(family, kind, protocol)
        try:
            raw.settimeout(min(deadline.next_timeout(), _MAX_CONNECT))
            raw.connect(sockaddr)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return raw
        except OSError as error:
            raw.close()
            last_error = error
    raise last_error or OSError(f"{address.host} has no address")
