"""Features in Redis or Valkey: a hash or a JSON text under each key, by the protocol RESP over a socket.

https://redis.io/docs/latest/develop/reference/protocol-spec/. The client library takes longer to import than a cold
start has. All keys of a request are read in one round trip.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from pilotlight.errors import SettingsError, StoreUnavailable
from pilotlight.features.connections import Pool
from pilotlight.features.plan import FeaturePlan, Key
from pilotlight.features.store import MAX_CONNECT
from pilotlight.features.values import Stored, Unreadable
from pilotlight.fetch import Deadline
from pilotlight.fetch.http_client import Address, connect
from pilotlight.fetch.tls import Trust
from pilotlight.frozen import dataclass
from pilotlight.model.json_document import refuse_constant

_PORT = 6379
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Refused:
    """An error that the server answers a command with."""

    message: str


Reply: TypeAlias = "bytes | int | list[Reply] | Refused | None"


class RedisConnection:
    """A connection, on which commands go out together and their replies come in order."""

    def __init__(self, address: Address, trust: Trust, clock: Callable[[], float], seconds: float) -> None:
        """Connect within so many seconds. Raise OSError, and StoreError for certificates."""
        self._clock = clock
        self._socket = connect(address, trust, 0, Deadline(clock, clock() + seconds))
        self._received = bytearray()
        self._at = 0

    def call(self, commands: Sequence[Sequence[bytes]], deadline: float) -> list[Reply]:
        """Return the reply to each command. Raise OSError; the connection is of no use then."""
        self._socket.settimeout(self._left(deadline))
        self._socket.sendall(b"".join(map(_command, commands)))
        return [self._reply(deadline) for _ in commands]

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _reply(self, deadline: float) -> Reply:
        line = self._line(deadline)
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else self._bytes(int(rest), deadline)
        if kind == b"*":
            return None if rest == b"-1" else [self._reply(deadline) for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"-":
            return Refused(rest.decode(errors="replace"))
        if kind == b"+":
            return rest
        raise ConnectionError(f"expected a reply of Redis, found {line[:40]!r}")

    def _line(self, deadline: float) -> bytes:
        while (end := self._received.find(b"\r\n", self._at)) < 0:
            self._receive(deadline)
        line = bytes(self._received[self._at : end])
        self._at = end + 2
        return line

    def _bytes(self, size: int, deadline: float) -> bytes:
        while len(self._received) < self._at + size + 2:
            self._receive(deadline)
        content = bytes(self._received[self._at : self._at + size])
        self._at += size + 2
        return content

    def _receive(self, deadline: float) -> None:
        if self._at > _PIECE:
            del self._received[: self._at]
            self._at = 0
        self._socket.settimeout(self._left(deadline))
        more = self._socket.recv(_PIECE)
        if not more:
            raise ConnectionError("the server closed the connection")
        self._received += more

    def _left(self, deadline: float) -> float:
        left = deadline - self._clock()
        if left <= 0:
            raise TimeoutError("no reply in time")
        return left


class RedisStore:
    """`redis://[user:password@]host[:port][/database]`, and `rediss://` over TLS."""

    def __init__(self, url: str, plan: FeaturePlan, clock: Callable[[], float] = time.monotonic) -> None:
        """Raise SettingsError for a URL of another form."""
        self._clock = clock
        self._columns = plan.columns
        self._is_json = plan.layout == "json"
        self._hello, address = _read_url(url)
        self._address = address
        self._trust = Trust(())
        self._pool = Pool(self._open, clock)

    def read(self, keys: Sequence[Key], deadline: float) -> list[Stored]:
        """See `FeatureStore`."""
        names = [str(key[0]).encode() for key in keys]
        if self._is_json:
            return [self._of_json(one) for one in self._texts(names, deadline)]
        columns = [column.encode() for column in self._columns]
        commands = [[b"HMGET", name, *columns] for name in names]
        return list(map(self._of_hash, self._pool.use(lambda one: one.call(commands, deadline), deadline)))

    def connect(self) -> None:
        """See `FeatureStore`."""
        self._pool.connect()

    def close(self) -> None:
        """See `FeatureStore`."""
        self._pool.close()

    def _open(self) -> RedisConnection:
        connection = RedisConnection(self._address, self._trust, self._clock, MAX_CONNECT)
        try:
            replies = connection.call(self._hello, self._clock() + MAX_CONNECT)
        except BaseException:
            connection.close()
            raise
        refused = next((reply for reply in replies if isinstance(reply, Refused)), None)
        if refused is not None:
            connection.close()
            raise _unavailable(refused)
        return connection

    def _texts(self, names: Sequence[bytes], deadline: float) -> list[Reply]:
        (reply,) = self._pool.use(lambda one: one.call([[b"MGET", *names]], deadline), deadline)
        if not isinstance(reply, list):
            raise _unavailable(reply)
        return reply

    def _of_hash(self, reply: Reply) -> Stored:
        if isinstance(reply, Refused) and reply.message.startswith("WRONGTYPE"):
            return Unreadable("the key has no hash")
        if not isinstance(reply, list):
            raise _unavailable(reply)
        if all(value is None for value in reply):
            return None
        return dict(zip(self._columns, reply, strict=True))

    def _of_json(self, reply: Reply) -> Stored:
        if not isinstance(reply, bytes):
            return None
        try:
            found = json.loads(reply, parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            found = None
        return found if isinstance(found, dict) else Unreadable("the key has no JSON object")


def _read_url(url: str) -> tuple[list[list[bytes]], Address]:
    """Return the commands with which a connection begins, and the server."""
    parts = urlsplit(url)
    database = parts.path.strip("/") or "0"
    try:
        port = parts.port or _PORT
    except ValueError:
        port = 0
    if not parts.hostname or not port or not database.isdecimal() or parts.query or parts.fragment:
        raise SettingsError("the store in features.toml: expected redis://[user:password@]host[:port][/database]")
    commands: list[list[bytes]] = []
    if parts.password is not None:
        names = [unquote(parts.username).encode()] if parts.username else []
        commands.append([b"AUTH", *names, unquote(parts.password).encode()])
    if database != "0":
        commands.append([b"SELECT", database.encode()])
    return commands, Address(tls=parts.scheme == "rediss", host=parts.hostname, port=port)


def _command(words: Sequence[bytes]) -> bytes:
    return b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)])


def _unavailable(reply: Reply) -> StoreUnavailable:
    return StoreUnavailable(f"Redis: {reply.message}" if isinstance(reply, Refused) else "Redis: an unexpected reply")
