"""What uvicorn does for clients: time limits, strict heads and framing, and refusals in our own form.

uvicorn waits for a client as long as it likes to take, takes heads of any size, leaves to the application what a body
that ends early means, and answers what it cannot parse in plain text. Where a head, a chunk or a body ends must never
be open to doubt (RFC 9112): two servers that read it differently see different requests. The rules are those of the
function on Google Cloud.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pilotlight.http.messages import Response
from server_asgi import BODY_ENDED, LATE, MALFORMED, head_fields
from server_heads import Malformed, check_head, check_start, check_trailer, origin_form

Refuse = Callable[[int, str], Response]
"""Takes a status from 400 to 599 and a message."""

# Seconds for a client to send a request, head and body, and to take the next part of its reply.
CLIENT_TIMEOUT = 30.0

# Seconds. Load balancers keep idle connections for 600 and advise servers to keep them longer:
# https://cloud.google.com/load-balancing/docs/https#timeout-keepalive-backends
KEEP_ALIVE = 650

# Seconds for a client to close its side after our last reply: a connection that is closed with bytes unread is reset,
# and the client may then not read the reply.
_LINGER = 0.5

# Bytes: of a head that has not ended, and of a chunked body beside its content, with a share for each chunk.
_MAX_HEAD = 1 << 17
_MAX_FRAMING = 8192
_FRAMING_OF_CHUNK = 24


class Transport:
    """A connection that is closed in two steps: our side, and after a while or the client's end, all of it."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._is_closing = False
        self.write = transport.write
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def is_closing(self) -> bool:
        """Return whether nothing more is written."""
        return self._is_closing or self._transport.is_closing()

    def close(self) -> None:
        """End our side behind what is written."""
        if self.is_closing():
            return
        self._is_closing = True
        self._transport.write_eof()
        self._transport.resume_reading()  # and discard
        self._loop.call_later(_LINGER, self._transport.close)


class Protocol(HttpToolsProtocol):
    """A client's connection."""

    is_leaving = False  # the process ends: each connection with its reply

    def __init__(self, *args: Any, refuse: Refuse, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **named)
        self._refuse = refuse
        self._late: asyncio.TimerHandle | None = None  # while a request arrives
        self._stuck: asyncio.TimerHandle | None = None  # while the client does not take its reply
        self._is_in_head = False
        self._received = 0  # bytes of the request that arrives
        self._content = 0  # bytes of its head and of its body
        self._chunks = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(Transport(transport, self.loop))  # type: ignore[arg-type]
        self.timeout_keep_alive_task = self.loop.call_later(KEEP_ALIVE, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._arrived()
        self.resume_writing()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep a connection whose client has sent all until it has its reply."""
        if self.transport.is_closing() or not self._is_answering():
            return None
        self.cycle.keep_alive = False
        self._end_body(MALFORMED)
        return True

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._received += len(data)
        try:
            if self._late is None:
                check_start(data)
            self.parser.feed_data(data)
            if self._late is not None:
                self._check_sizes()
        except httptools.HttpParserUpgrade as upgrade:  # we have no other protocol, and go on with this one
            if rest := data[upgrade.args[0] :]:
                self.data_received(rest)
        except (httptools.HttpParserError, Malformed) as error:
            cause = error if isinstance(error, Malformed) else error.__context__
            self._answer(cause if isinstance(cause, Malformed) else Malformed(str(error)))

    def on_message_begin(self) -> None:
        """Start the time of a request."""
        super().on_message_begin()
        self._arrived()
        self._late = self.loop.call_later(CLIENT_TIMEOUT, self._is_late)
        self._is_in_head = True
        self._content = self._chunks = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Raise Malformed for a trailer that may not be one."""
        if self._is_in_head:
            super().on_header(name, value)
        else:
            check_trailer(name)

    def on_headers_complete(self) -> None:
        """Start to answer. Raise Malformed."""
        self._is_in_head = False
        check_head(self.url, self.headers, self.parser.get_method(), self.parser.get_http_version())
        self._content += len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) + 64
        target, self.url = self.url, b"/"
        super().on_headers_complete()
        self.scope["raw_path"] = origin_form(target)
        if self.is_leaving:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """Close a connection that was kept when its request came, once the process ends."""
        super().on_response_complete()
        if self.is_leaving and not self.pipeline:
            self.transport.close()

    def on_chunk_header(self) -> None:
        """Count a chunk."""
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._content += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the time of a request. Raise Malformed."""
        self._check_sizes()
        self._arrived()
        self._received = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._stuck = self._stuck or self.loop.call_later(CLIENT_TIMEOUT, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        super().resume_writing()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _check_sizes(self) -> None:
        if self._is_in_head:
            if self._received > _MAX_HEAD:
                raise Malformed.large()
        elif self._received - self._content > _MAX_FRAMING + _FRAMING_OF_CHUNK * self._chunks and self._chunks:
            raise Malformed("the chunked body has too much beside its content")

    def _arrived(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _is_late(self) -> None:
        self._late = None
        if self._is_in_head or not self._is_answering():
            self.transport.close()  # there is no request to answer yet
        else:
            self._end_body(LATE)

    def _end_body(self, how: str) -> None:
        """End the body of the request that arrives, before its end, and the connection with its reply."""
        if self.cycle.more_body:
            self.cycle.scope[BODY_ENDED] = how  # type: ignore[literal-required]
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def _answer(self, error: Malformed) -> None:
        """Refuse what is malformed, behind the reply that is under way."""
        self._arrived()
        if self._is_answering():
            self.cycle.keep_alive = False
            self._end_body(MALFORMED)
            return
        response = self._refuse(error.status, str(error))
        status = HTTPStatus(response.status)
        lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
        lines += [b"%s: %s" % field for field in head_fields(response, closes=True)]
        self.transport.write(b"\r\n".join([*lines, b"", response.body]))
        self.transport.close()
