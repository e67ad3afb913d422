"""The gRPC server: the protocol's methods, health and reflection, on an event loop in a thread of its own.

Messages arrive on the loop, so that slow clients and open streams hold no thread; predictions run in a pool. Threads do
not outlive a fork: start it in the process that serves, after the model is loaded. Import it before the fork: that
takes 40 ms and 7 MB, which the processes share; each would have 10 MB of its own, and take 100 ms.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Thread

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as REFLECTION
from grpc_reflection.v1alpha.reflection import aio as reflection

from grpc_service import NAME, Inference, reader
from pilotlight.errors import NotReady
from pilotlight.service import Service
from pilotlight.start.loading import Loader

HEALTH: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

# Calls that one connection may have under way; more wait at the client.
_STREAMS = 100

# Seconds: how often the state of the model is looked at for the health service.
_WATCH = 0.2

# Seconds from the stop on in which calls are still taken: balancers hear of the end when we do.
_LEAVE = 0.5


class GrpcServer:
    """Answers calls for a service in this process, beside what it does already."""

    def __init__(self, service: Service, loader: Loader, address: str, *, threads: int) -> None:
        """Start to answer on `address`, a host and a port, beside other processes that do.

        `threads` is how many predictions may run at once. More wait, and a probe of readiness with them; health does
        not. Raise RuntimeError for an address that cannot be listened on.
        """
        self._service = service
        self._loader = loader
        self._pool = ThreadPoolExecutor(threads, "predict")
        self._started: Future[None] = Future()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, args=(address,), name="grpc", daemon=True)
        self._thread.start()
        self._started.result()

    def stop(self, grace: float) -> None:
        """Answer what is under way and what comes within a moment, for at most `grace` seconds, and end."""
        asyncio.run_coroutine_threadsafe(self._stop(grace), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._pool.shutdown(wait=False)

    def _run(self, address: str) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._start(address))
        except BaseException as error:  # noqa: BLE001 - for whoever starts it
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        self._loop.run_forever()
        self._loop.close()

    async def _start(self, address: str) -> None:
        limit = self._service.max_body_bytes
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),  # the limit is ours, and says what to do
                ("grpc.max_concurrent_streams", _STREAMS),
                ("grpc.so_reuseport", 1),
                # Only identity: a message of a few bytes may unpack to gigabytes before its size is looked at.
                ("grpc.compression_enabled_algorithms_bitset", 1),
            )
        )
        self._health = health.HealthServicer()
        inference = Inference(self._service, self._pool, clock=time.monotonic)
        self._server.add_generic_rpc_handlers((inference.handler(), self._health_handler(), _reflection_handler()))
        self._server.add_insecure_port(address)
        await self._set_health()
        await self._server.start()
        self._watching = self._loop.create_task(self._watch())

    def _health_handler(self) -> grpc.GenericRpcHandler:
        unknown = health_pb2.HealthCheckRequest(service="(malformed)")  # a service that is not there
        read = reader(health_pb2.HealthCheckRequest, unknown)
        write = health_pb2.HealthCheckResponse.SerializeToString
        return grpc.method_handlers_generic_handler(
            HEALTH,
            {
                "Check": grpc.unary_unary_rpc_method_handler(self._health.Check, read, write),
                "Watch": grpc.unary_stream_rpc_method_handler(self._health.Watch, read, write),
            },
        )

    async def _watch(self) -> None:
        """Keep the health service's answer up to date; a model that has not arrived is tried again meanwhile."""
        while True:
            await asyncio.sleep(_WATCH)
            if self._loader.state != "ready":
                with suppress(NotReady):
                    await self._loop.run_in_executor(self._pool, self._service.plane.check_ready)
            await self._set_health()

    async def _set_health(self) -> None:
        is_ready = self._loader.state == "ready"
        statuses = health_pb2.HealthCheckResponse
        for name in ("", NAME):
            await self._health.set(name, statuses.SERVING if is_ready else statuses.NOT_SERVING)

    async def _stop(self, grace: float) -> None:
        self._watching.cancel()
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(min(_LEAVE, grace))
        await self._server.stop(grace)


def _reflection_handler() -> grpc.GenericRpcHandler:
    servicer = reflection.ReflectionServicer((NAME, HEALTH, REFLECTION))
    request = reflection_pb2.ServerReflectionRequest
    return grpc.method_handlers_generic_handler(
        REFLECTION,
        {
            "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
                servicer.ServerReflectionInfo,
                reader(request, request()),
                reflection_pb2.ServerReflectionResponse.SerializeToString,
            )
        },
    )
