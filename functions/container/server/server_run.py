"""uvicorn with our protocol, in one process, until SIGTERM.

uvicorn on uvloop and httptools, because of a request's processor time and of what can be set in it: for one row of the
sample 125 us and 43 MB, where granian 2.8 takes 170 us and 64 MB and has no time limit for a body; Flask and gunicorn
in the function on Google Cloud take 340 us.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from server_asgi import Application, refuse
from server_protocol import KEEP_ALIVE, Protocol
from server_workers import CANNOT_SERVE

if TYPE_CHECKING:
    from grpc_server import GrpcServer
    from pilotlight.service import Service
    from pilotlight.start.loading import Loader

# Seconds. After SIGTERM connections go on for a while, in case a request is on its way: balancers hear of the end when
# we do. Each gets `connection: close` with its reply.
_LEAVE = 0.5

# Seconds from then on for what is under way. Kubernetes kills 30 s after SIGTERM.
_GRACE = 25

_BACKLOG = 2048


def serve(
    service: Service,
    loader: Loader,
    listener: socket.socket,
    environ: Mapping[str, str],
    parent: int,
    *,
    threads: int,
    beside: GrpcServer | None = None,
) -> int:
    """Answer requests until SIGTERM, SIGINT or the end of the process `parent`; return the exit code.

    `threads` run the requests that may take long. A server `beside` this one ends with it.
    """
    config = uvicorn.Config(
        Application(service, loader, environ, threads=threads),
        http=partial(Protocol, refuse=partial(refuse, service)),  # type: ignore[arg-type]
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )
    server = _Server(config, loader, parent, beside)
    server.run([listener])
    return server.exit_code


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, loader: Loader, parent: int, beside: GrpcServer | None) -> None:
        super().__init__(config)
        self.exit_code = 0
        self._loader = loader
        self._parent = parent
        self._beside = beside

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order at a signal; uvicorn's own would end this process by the same signal afterwards."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, setattr, self, "should_exit", True)
        yield

    async def on_tick(self, counter: int) -> bool:
        """See uvicorn.Server; ten times a second. End too if the model can never be served, or without the parent."""
        if self._loader.state == "failed":
            self.exit_code = CANNOT_SERVE
        return await super().on_tick(counter) or bool(self.exit_code) or os.getppid() != self._parent

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is under way and what comes within a moment, and close each connection with its reply."""
        Protocol.is_leaving = True
        ending = asyncio.to_thread(self._beside.stop, _GRACE) if self._beside else asyncio.sleep(0)
        await asyncio.gather(ending, self._close(sockets))

    async def _close(self, sockets: list[socket.socket] | None) -> None:
        await asyncio.sleep(_LEAVE)
        await super().shutdown(sockets)
