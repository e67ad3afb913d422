"""SIGTERM under load: whatever was asked is answered, and the instance, or the server, has ended soon."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection

import pytest

from gcp.held import Held
from harness import Pinned, in_functions_framework, in_server, sample, stored
from pilotlight_cli.local.functions_runtime import FunctionsRuntime
from pilotlight_cli.local.stores import EmbeddedStore
from stalls import stalls
from waiting import wait_until

TRIES = int(os.environ.get("STOP_TRIES", "20"))
PROMISE = 2.0  # seconds, of Cloud Run's 10, on a processor of one's own

# functions-framework has four threads a CPU: with one of those all of this is under way at the same time.
HELD, BUSY = 2, 6

BODY = json.dumps({"instances": [[float(feature) for feature in range(30)]] * 200}).encode()
HEADERS = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def store(model: Pinned) -> Iterator[EmbeddedStore]:
    with stored("gcp", model) as found:
        yield found


@dataclass
class Load:
    """Callers that ask one request after the other, on a connection each, until `stop` is set.

    At their end they close their connections, or keep them as Cloud Run's own front does. Who holds `sending` knows
    that none of them sends.
    """

    port: int
    keeps: bool
    stop: threading.Event = field(default_factory=threading.Event)
    sending: threading.Lock = field(default_factory=threading.Lock)
    answers: list[int] = field(default_factory=list)
    served: set[int] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    open: ExitStack = field(default_factory=ExitStack)

    def run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            while self._sends(connection):
                with connection.getresponse() as response:
                    assert len(json.loads(response.read())["predictions"]) == 200
                    self.answers.append(response.status)
                    self.served.add(threading.get_ident())
                if response.will_close:
                    break
        except Exception as error:  # noqa: BLE001 - told by the test itself, whatever it is
            self.faults.append(repr(error))
        self.open.callback(connection.close)
        if not self.keeps:
            connection.close()

    def _sends(self, connection: HTTPConnection) -> bool:
        """Send a request, unless it is time to stop: none is sent after that."""
        with self.sending:
            if self.stop.is_set():
                return False
            connection.request("POST", "/predict_batch", BODY, HEADERS)
            return True


def stop_under_load(runtime: FunctionsRuntime, *, keeps: bool) -> tuple[float, int]:
    """Send SIGTERM in the midst of requests: the seconds until the end, and how many were answered, which are all.

    Seconds in which the machine stood still do not count.
    """
    load = Load(int(runtime.url.rpartition(":")[2]), keeps)
    callers = [threading.Thread(target=load.run) for _ in range(BUSY)]
    with load.open:
        for caller in callers:
            caller.start()
        wait_until(lambda: len(load.served) == BUSY or bool(load.faults), limit=60)
        held = [Held(load.port, "/predict_batch", BODY, HEADERS) for _ in range(HELD)]
        for one in held:
            load.open.callback(one.connection.close)
        with stalls() as stalled:
            with load.sending:
                began = time.monotonic()
                os.kill(runtime.pid, signal.SIGTERM)
                load.stop.set()
            assert [one.finish()[0] for one in held] == [200] * HELD
            if not keeps:
                for one in held:
                    one.connection.close()
            wait_until(lambda: runtime.exit_code is not None, limit=60)
            took = time.monotonic() - began - stalled()
        for caller in callers:
            caller.join()
    assert load.faults == []
    assert set(load.answers) == {200}
    assert runtime.exit_code == 0
    return took, len(load.answers) + HELD


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(
    ("run", "settings"),
    [
        (in_functions_framework, {"PILOTLIGHT_THREADS": "1"}),
        (in_functions_framework, {"PILOTLIGHT_THREADS": "2"}),
        (in_server, {"PILOTLIGHT_SERVER_WORKERS": "2"}),
    ],
    ids=["1", "2", "server"],
)
def test_every_request_under_way_is_answered_and_the_end_comes_soon(
    run: Callable[..., AbstractContextManager[FunctionsRuntime]],
    settings: dict[str, str],
    model: Pinned,
    store: EmbeddedStore,
    capsys: pytest.CaptureFixture[str],
) -> None:
    took: list[float] = []
    held: list[float] = []  # against the promise
    answered = 0
    with run(model, store, **settings) as runtime:
        for attempt in range(TRIES):
            if attempt:
                runtime.restart()
            before = processor_share()
            seconds, count = stop_under_load(runtime, keeps=bool(attempt % 2))
            took.append(seconds)
            held.append(seconds * min(before, processor_share()))
            answered += count
    with capsys.disabled():
        print(f"\n{run.__name__} {settings}: {TRIES} stops, {answered} requests answered, none lost; {summary(took)}")
    assert max(held) < PROMISE


def processor_share(seconds: float = 0.05) -> float:
    """How much of a processor this machine gives to whoever wants all of one: 1 where nothing else is at work."""
    began, used = time.perf_counter(), time.thread_time()
    while time.thread_time() - used < seconds:
        pass
    return seconds / (time.perf_counter() - began)


def summary(took: list[float]) -> str:
    """Summarise the stops, with closed and with idle connections apart."""
    return "; ".join(
        f"{name} {min(part):.2f} to {max(part):.2f} s"
        for name, part in (("connections closed", took[::2]), ("left open", took[1::2]))
    )
