"""The whole function on this machine: staged, in its real runtime, with a model store, until it is ready to answer."""

from __future__ import annotations

import compileall
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from pilotlight.model.lock import load_lock
from pilotlight_cli.hostenv import group_packages, host_packages
from pilotlight_cli.local.client import send
from pilotlight_cli.local.front import forwarding, with_page
from pilotlight_cli.local.function import Function, passed_on
from pilotlight_cli.local.functions_runtime import functions_runtime
from pilotlight_cli.local.gateway import gateway_application
from pilotlight_cli.local.lambda_runtime import lambda_runtime
from pilotlight_cli.local.process import Log, ServeError, listen
from pilotlight_cli.local.stores import acting_in, embedded_store, leads_to_a_store
from pilotlight_cli.local.wsgi import serving_wsgi
from pilotlight_cli.registry.sample import publish_sample
from pilotlight_cli.registry.versions import show
from pilotlight_cli.staging.libraries import requirements
from pilotlight_cli.staging.sources import stage_sources
from pilotlight_cli.stores import StoreUrlError, open_store

_SCHEMES = {"aws": ("s3", "file"), "gcp": ("gs", "file")}


class Runtime(Protocol):
    """A function's real runtime: `LambdaRuntime` or `FunctionsRuntime`."""

    log: Log

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        ...

    def restart(self) -> None:
        """Begin again with a fresh instance."""
        ...


class Server:
    """A function that answers on `url`, and what it wrote."""

    def __init__(
        self,
        url: str,
        store: str,
        runtime: Runtime,
        temporary: Path,
        patience: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`temporary` is the function's folder for temporary files; `patience` how long it may take to be ready."""
        self.url = url
        self.store = store
        self.cold_start: dict[str, Any] = {}
        self._runtime = runtime
        self._temporary = temporary
        self._patience = patience
        self._clock = clock
        self._wait_until_ready(0)

    @property
    def log(self) -> Log:
        """What the function writes."""
        return self._runtime.log

    def check(self) -> None:
        """Raise ServeError where the runtime has ended by itself."""
        if self._runtime.exit_code is not None:
            raise ServeError(f"the runtime ended with exit code {self._runtime.exit_code}:\n{self.log.tail()}")

    def restart(self) -> None:
        """A cold start: a fresh instance with nothing on its disk, waited for."""
        before = len(self.log.events("cold_start"))
        shutil.rmtree(self._temporary)
        self._temporary.mkdir()
        self._runtime.restart()
        self._wait_until_ready(before)

    def _wait_until_ready(self, before: int) -> None:
        """Ask until the function is ready. `before` is how many cold starts it reported earlier."""
        end = self._clock() + self._patience
        while (answer := send(self.url, "/health/ready")).status != 200:
            broken = answer.status not in (0, 503)
            report = self.log.wait_for("cold_start", 5 if broken else 0, before, self._clock)
            if broken or (report and report.get("state") == "failed"):
                raise self._failure("the function does not start", report, answer.error)
            if self._clock() > end:
                raise self._failure(f"the function is not ready after {self._patience:.0f} s", report, answer.error)
            time.sleep(0.05)
        self.cold_start = self.log.wait_for("cold_start", 10, before, self._clock) or {}

    def _failure(self, what: str, report: Mapping[str, Any] | None, answer: str) -> ServeError:
        reason = (report or {}).get("error") or f"it answers {answer}"
        return ServeError(f"{what}: {reason}\n\nIts last lines:\n{self.log.tail()}")


@contextmanager
def serving(
    cloud: str,
    lock: Path,
    store: str | None = None,
    port: int = 0,
    *,
    environ: Mapping[str, str] = os.environ,
    patience: float = 60,
    page: bytes | None = None,
) -> Iterator[Server]:
    """Serve the model of a lock as a cloud would, on 127.0.0.1, and end all of it on the way out.

    Without a store's URL there is one in this process with the sample model in it. Port 0 takes any free one.
    `environ` is where the store's credentials and the settings come from. `page` is what a browser finds at /docs; with
    none the function has its server to itself. Raises PilotlightError: ServeError with the
    function's own words when it does not become ready within `patience` seconds, PortTaken, StoreUrlError, FormatError.
    """
    _check_store(cloud, store)
    listen(port).close()  # before anything that takes its time
    with ExitStack() as stack:
        store, seen = stack.enter_context(_reachable(cloud, lock, store, passed_on(environ)))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="pilotlight-")))
        temporary = folder / "tmp"
        temporary.mkdir()
        seen.pop("PILOTLIGHT_LOCK", None)
        seen |= {"PILOTLIGHT_STORE": store, "TMPDIR": str(temporary)}
        function = prepare(cloud, lock, folder / "function", seen)
        runtime, url = stack.enter_context(_running(cloud, function, port, patience, page))
        yield Server(url, store, runtime, temporary, patience)


@contextmanager
def _reachable(
    cloud: str, lock: Path, store: str | None, environ: dict[str, str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL of a store that has the pinned version, and the environment in which the function finds it."""
    if store is not None:
        model = load_lock(lock).model
        with acting_in(
            environ
        ):  # the function itself tries for a long time before it says that there is no such version
            show(open_store(store), model.name, model.version)
        yield store, environ
        return
    with embedded_store(cloud) as embedded:
        with acting_in(embedded.environ):
            publish_sample(open_store(embedded.url), lock)
        others = {name: value for name, value in environ.items() if not leads_to_a_store(name)}
        yield embedded.url, {**others, **embedded.environ}


@contextmanager
def _running(
    cloud: str, function: Function, port: int, patience: float, page: bytes | None
) -> Iterator[tuple[Runtime, str]]:
    """A function in its runtime, and where it answers."""
    if cloud == "aws":
        with lambda_runtime(function) as environment:
            application = gateway_application(environment.invoke)
            with serving_wsgi(application if page is None else with_page(application, page), port) as url:
                yield environment, url
    elif page is None:
        with functions_runtime(function, port=port, patience=patience) as instance:
            yield instance, instance.url
    else:
        with (
            functions_runtime(function, patience=patience) as instance,
            serving_wsgi(with_page(forwarding(instance.url, patience), page), port) as url,
        ):
            yield instance, url


def _check_store(cloud: str, store: str | None) -> None:
    schemes = _SCHEMES[cloud]
    if store is not None and store.partition("://")[0] not in schemes:
        raise StoreUrlError(
            f"{store!r} is not for --cloud {cloud}, where the function reads {schemes[0]}:// and {schemes[1]}://; "
            "'pilotlight copy' brings a version from one store to another"
        )


def prepare(cloud: str, lock: Path, folder: Path, environ: Mapping[str, str]) -> Function:
    """Stage the function for this machine's Python in `folder`, which must be new; with bytecode, as in a package."""
    stage_sources(cloud, lock, folder)
    compileall.compile_dir(folder, quiet=1)
    packages = [host_packages(requirements(cloud, lock))]
    if cloud == "aws":
        packages.append(group_packages("lambda-runtime"))
    return Function(folder, tuple(packages), environ)
