"""Where the ASGI application runs a request: on the event loop only what waits for nothing."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from pilotlight.http.messages import Request, Response
from pilotlight.service import Service
from server_asgi import Application


class Waiting:
    """A service whose predictions wait until a health check is answered."""

    max_body_bytes = 1000
    may_wait = True
    state = "ready"

    def __init__(self) -> None:
        self.is_checked = threading.Event()

    def handle(self, request: Request) -> Response:
        if request.method == "GET":
            self.is_checked.set()
        return Response(200 if self.is_checked.wait(20) else 504, {}, b"")


async def asked(application: Application, method: str) -> int:
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await application({"method": method, "raw_path": b"/x", "headers": []}, receive, send)
    return statuses[0]


def test_a_request_that_may_wait_for_a_store_does_not_hold_up_others() -> None:
    service: Any = Waiting()
    application = Application(service, service, {})

    async def both() -> list[int]:
        return list(await asyncio.gather(asked(application, "POST"), asked(application, "GET")))

    assert asyncio.run(both()) == [200, 200]


def test_a_service_may_wait_for_inputs_by_reference_and_for_treatments() -> None:
    with_none: Any = {"max_body_bytes": 1, "clock": lambda: 0.0}
    given: Any = object()
    service: Any = Service
    assert not service(given, given, given, **with_none).may_wait
    assert service(given, given, given, **with_none, read_object=given).may_wait
    assert service(given, given, given, **with_none, experiment=given).may_wait
