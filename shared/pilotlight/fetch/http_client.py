"""GET requests by HTTP/1.1 (RFC 9112) over a socket, and nothing else of HTTP.

http.client brings the parser for e-mail: with it what has to be imported takes 1.7 times as long (`bench/fetch.py`
prints it). And a read of its own is bounded by how long the next byte takes, where here the wait for a whole head or
for a piece of a body is.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping

from pilotlight.errors import StoreError
from pilotlight.fetch.protocol import Timer
from pilotlight.fetch.tls import Trust
from pilotlight.frozen import dataclass

_CONNECT = 3.0  # seconds
_PIECE = 1 << 16
_LONGEST_HEAD = 1 << 16
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class BadResponse(OSError):
    """What came is not HTTP, or is more of it than is read here."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server: `tls` says whether it is spoken to by https."""

    tls: bool
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As it stands in a Host header: without the port where that is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def percent_encoded(text: str, safe: bytes = b"") -> str:
    """Percent-encoded (RFC 3986): all but letters, digits, `-._~` and what is `safe`."""
    return "".join(chr(byte) if byte in _UNRESERVED or byte in safe else f"%{byte:02X}" for byte in text.encode())


class Connection:
    """A connection to one server at a time, kept for the next request where the last answer allows it."""

    def __init__(self, trust: Trust, turn: int = 0) -> None:
        """`turn` chooses among a name's addresses: lines that differ in it spread over them."""
        self._trust = trust
        self._turn = turn
        self._address: Address | None = None
        self._socket: socket.socket | None = None
        self._last: HttpResponse | None = None

    def reach(self, address: Address, timer: Timer) -> None:
        """Connect, unless it is connected to this server already. Raises OSError."""
        if self._socket is None or address != self._address or (self._last and not self._last.is_over):
            self.close()
            self._socket, self._address = _connected(address, self._trust, self._turn, timer), address

    def get(self, address: Address, target: str, headers: Mapping[str, str], timer: Timer) -> HttpResponse:
        """The head of the answer to a GET. Raises OSError, and StoreError for what no header can hold.

        A server may end a connection that is kept, and the next request crosses with that: it is sent once more.
        """
        fields = {"Host": address.authority, **headers}
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        if not all(line.isascii() and line.isprintable() for line in lines):
            raise StoreError("a header would have a character in it that no header can hold")
        request = "".join(f"{line}\r\n" for line in (*lines, "")).encode()
        self.reach(address, timer)
        try:
            return self._answer(request, timer)
        except (ConnectionError, ssl.SSLError):
            if self._last is None:
                raise
        self.close()
        self.reach(address, timer)
        return self._answer(request, timer)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()
        self._socket = self._last = None

    def _answer(self, request: bytes, timer: Timer) -> HttpResponse:
        assert self._socket is not None  # noqa: S101 - `reach` has connected it
        self._socket.settimeout(timer.next())
        self._socket.sendall(request)
        stream = _Stream(self._socket)
        wait = timer.wait()
        status, headers = _head(stream, wait)
        while 100 <= status < 200:
            status, headers = _head(stream, wait)
        self._last = HttpResponse(status, headers, stream)
        return self._last


class HttpResponse:
    """A status, headers (names in lower case), and a body that is still to come."""

    def __init__(self, status: int, headers: Mapping[str, str], stream: _Stream) -> None:
        self.status = status
        self.headers = headers
        self.fault: OSError | None = None
        self._stream = stream
        self._is_chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self.length = None if self._is_chunked else _number(headers.get("content-length"))
        self._left = self.length  # of the body, or of a chunk; None until the first chunk, or until the end
        self._has_ended = self.length == 0 or status in (204, 304)

    @property
    def is_over(self) -> bool:
        """Whether all of it came, so that the connection can take another request."""
        delimited = self._is_chunked or self.length is not None
        return self._has_ended and delimited and self.headers.get("connection", "").lower() != "close"

    def read_into(self, view: memoryview, timer: Timer) -> int:
        """Fill `view`; how much of it. Less at the body's end, or where there is a `fault`: no byte is lost to one.

        The limit of a wait holds for the whole view, so that a body which drips is found out.
        """
        count = 0
        try:
            wait = timer.wait()
            while count < len(view) and not self._has_ended:
                count += self._some(view[count:], wait)
        except OSError as error:
            self.fault = error
        return count

    def first_words(self, limit: int, timer: Timer) -> str:
        """The first words of an error's body, as far as they come."""
        content = bytearray(limit)
        return content[: self.read_into(memoryview(content), timer)].decode(errors="replace")

    def _some(self, view: memoryview, wait: Timer) -> int:
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

    def _next_chunk(self, wait: Timer) -> None:
        if self._left == 0:
            self._stream.until(b"\r\n", wait)  # which ends a chunk's data
        size = self._stream.until(b"\r\n", wait).partition(b";")[0].strip()
        try:
            self._left = int(size, 16)
        except ValueError:
            raise BadResponse(f"a chunk of {size[:20]!r} bytes") from None
        if self._left == 0:
            while self._stream.until(b"\r\n", wait):
                """Trailers say nothing that is needed."""
            self._has_ended = True


class _Stream:
    """Bytes as they come; those that came with a head are first."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._ahead = b""

    def read_into(self, view: memoryview, timer: Timer) -> int:
        """Read once; 0 at the end."""
        if self._ahead:
            count = min(len(view), len(self._ahead))
            view[:count], self._ahead = self._ahead[:count], self._ahead[count:]
            return count
        self._source.settimeout(timer.left())
        return self._source.recv_into(view)

    def until(self, mark: bytes, timer: Timer) -> bytes:
        """All before the next `mark`, which is taken too."""
        while (at := self._ahead.find(mark)) < 0:
            if len(self._ahead) > _LONGEST_HEAD:
                raise BadResponse(f"a line or head of more than {_LONGEST_HEAD} bytes")
            self._source.settimeout(timer.left())
            more = self._source.recv(_PIECE)
            if not more:
                raise ConnectionError(f"the connection ended after {len(self._ahead)} bytes of a head")
            self._ahead += more
        found, self._ahead = self._ahead[:at], self._ahead[at + len(mark) :]
        return found


def _head(stream: _Stream, timer: Timer) -> tuple[int, dict[str, str]]:
    first, *lines = stream.until(b"\r\n\r\n", timer).decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdecimal() or not rest[:3].isascii():
        raise BadResponse(f"the answer begins with {first[:40]!r}, which is not HTTP")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if version == "HTTP/1.0":
        headers["connection"] = "close"
    return int(rest[:3]), headers


def _number(value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal()):
        raise BadResponse(f"a body of {value[:20]!r} bytes")
    return int(value)


def _connected(address: Address, trust: Trust, turn: int, timer: Timer) -> socket.socket:
    if not address.tls:
        return _dialled(address, turn, timer)
    context = trust.context()
    try:
        return _greeted(_dialled(address, turn, timer), context, address.host, timer)
    except ssl.SSLCertVerificationError:
        wider = trust.widened(context)
        if wider is None:
            raise
    return _greeted(_dialled(address, turn, timer), wider, address.host, timer)


def _greeted(raw: socket.socket, context: ssl.SSLContext, host: str, timer: Timer) -> ssl.SSLSocket:
    try:
        raw.settimeout(timer.next())
        return context.wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise


def _dialled(address: Address, turn: int, timer: Timer) -> socket.socket:
    # As bytes: for a str Python imports a codec, tables of Unicode with it.
    found = socket.getaddrinfo(address.host.encode("ascii"), address.port, type=socket.SOCK_STREAM)
    turn %= len(found)
    fault: OSError | None = None
    for family, kind, protocol, _, place in found[turn:] + found[:turn]:
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(min(timer.next(), _CONNECT))
            made.connect(place)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made
        except OSError as error:
            made.close()
            fault = error
    raise fault or OSError(f"{address.host} has no address")
