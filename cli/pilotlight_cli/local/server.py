"""Serves the whole function on this machine: stages it, runs its real runtime with a model store, awaits readiness."""

from __future__ import annotations

import compileall
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pilotlight.features.plan import FILE as FEATURES
from pilotlight.features.plan import load_plan
from pilotlight.model.lock import load_lock
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.local.client import send
from pilotlight_cli.local.container_runtime import container_runtime
from pilotlight_cli.local.front import forwarding
from pilotlight_cli.local.function import Function, passed_on
from pilotlight_cli.local.functions_runtime import functions_runtime
from pilotlight_cli.local.gateway import gateway_application
from pilotlight_cli.local.lambda_runtime import lambda_runtime, runtime_packages
from pilotlight_cli.local.process import Log, ServeError, listen
from pilotlight_cli.local.stores import acting_in, affects_store, embedded_store
from pilotlight_cli.local.wsgi import serving_wsgi
from pilotlight_cli.registry.availability import ensure_published, store_of
from pilotlight_cli.registry.versions import show
from pilotlight_cli.staging.libraries import requirements
from pilotlight_cli.staging.sources import CONTAINER, PREDICT, add_pinned, stage_code
from pilotlight_cli.stores import StoreUrlError, open_store

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Front: TypeAlias = "Callable[[WSGIApplication], WSGIApplication]"

_SCHEMES = {"aws": ("s3", "file"), "gcp": ("gs", "file"), CONTAINER: ("s3", "gs", "file")}


class Runtime(Protocol):
    """A function's real runtime: `LambdaRuntime` or `FunctionsRuntime`."""

    log: Log

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        ...

    def restart(self) -> None:
        """Start a fresh instance."""
        ...


class Server:
    """A function that is served on `url`, and its log."""

    def __init__(
        self,
        url: str,
        store: str,
        runtime: Runtime,
        temporary: Path,
        timeout: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`temporary` is the function's folder for temporary files; `timeout` is for it to be ready, in seconds."""
        self.url = url
        self.store = store
        self.cold_start: dict[str, Any] = {}
        self._runtime = runtime
        self._temporary = temporary
        self._timeout = timeout
        self._clock = clock
        self._wait_until_ready(0)

    @property
    def log(self) -> Log:
        """The log of the function."""
        return self._runtime.log

    def check(self) -> None:
        """Raise ServeError if the runtime has ended by itself."""
        if self._runtime.exit_code is not None:
            raise ServeError(f"the runtime ended with exit code {self._runtime.exit_code}:\n{self.log.tail()}")

    def restart(self) -> None:
        """Make a cold start: wait for a fresh instance with an empty disk."""
        before = len(self.log.events("cold_start"))
        shutil.rmtree(self._temporary)
        self._temporary.mkdir()
        self._runtime.restart()
        self._wait_until_ready(before)

    def _wait_until_ready(self, before: int) -> None:
        """Poll until the function is ready. `before` is how many cold starts it reported earlier."""
        deadline = self._clock() + self._timeout
        while (response := send(self.url, "/health/ready")).status != 200:
            is_broken = response.status not in (0, 503)
            report = self.log.wait_for("cold_start", 5 if is_broken else 0, before, self._clock)
            if is_broken or (report and report.get("state") == "failed"):
                raise self._failure("the function does not start", report, response.error)
            if self._clock() > deadline:
                raise self._failure(f"the function is not ready after {self._timeout:.0f} s", report, response.error)
            time.sleep(0.05)
        self.cold_start = self.log.wait_for("cold_start", 10, before, self._clock) or {}

    def _failure(self, what: str, report: Mapping[str, Any] | None, error: str) -> ServeError:
        reason = (report or {}).get("error") or f"it responds with {error}"
        return ServeError(f"{what}: {reason}\n\nLast log lines:\n{self.log.tail()}")


@contextmanager
def serving(
    cloud: str,
    lock: Path,
    store: str | None = None,
    port: int = 0,
    *,
    environ: Mapping[str, str] = os.environ,
    timeout: float = 60,
    in_front: Front | None = None,
    code: Path | None = None,
) -> Iterator[Server]:
    """Serve the model of a lock as a cloud would, on 127.0.0.1.

    Without a store's URL, use the store of the lock's project: a bucket itself, or an embedded one with a copy of the
    pinned version if it is a folder. Port 0 is any free one. `environ` has the store's credentials and the settings.
    `in_front` puts something in front of the function's address, such as its page. `code` is a folder that
    `compile_code` made, by default a new one.
    Raise PilotlightError: ServeError with the function's own error if it is not ready within `timeout` seconds,
    PortTaken, StoreUrlError, FormatError.
    """
    store = store or _bucket(lock)
    _check_store(cloud, store)
    listen(port).close()  # fail before the slow steps
    with ExitStack() as stack:
        store, variables = stack.enter_context(
            _reachable(cloud, lock, store, passed_on(environ) | _of_features(lock, environ))
        )
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="pilotlight-")))
        temporary = folder / "tmp"
        temporary.mkdir()
        variables.pop("PILOTLIGHT_LOCK", None)
        variables |= {"PILOTLIGHT_STORE": store, "TMPDIR": str(temporary)}
        function = prepare(cloud, lock, folder / "function", variables, code=code)
        runtime, url = stack.enter_context(_running(cloud, function, port, timeout, in_front))
        yield Server(url, store, runtime, temporary, timeout)


def _of_features(lock: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that features.toml names. Raise FormatError."""
    path = lock.with_name(FEATURES)
    names = load_plan(path, load_lock(lock).model.signature).variables if path.exists() else ()
    return {name: environ[name] for name in names if name in environ}


def _bucket(lock: Path) -> str | None:
    """Return the store of the lock's project if it is not a folder. Raise what `store_of` raises."""
    store = store_of(lock)
    return None if store.startswith("file:") else store


@contextmanager
def _reachable(
    cloud: str, lock: Path, store: str | None, environ: dict[str, str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the URL of a store that has the pinned version, and the environment in which the function finds it."""
    if store is not None:
        model = load_lock(lock).model
        with acting_in(environ):  # the function itself would retry for a long time before it reports a missing version
            show(open_store(store), model.name, model.version)
        yield store, environ
        return
    with embedded_store(cloud) as embedded:
        with acting_in(embedded.environ):
            ensure_published(lock, open_store(embedded.url))
        others = {name: value for name, value in environ.items() if not affects_store(name)}
        yield embedded.url, {**others, **embedded.environ}


@contextmanager
def _running(
    cloud: str, function: Function, port: int, timeout: float, in_front: Front | None
) -> Iterator[tuple[Runtime, str]]:
    """Yield a function in its runtime, and its URL. Without `in_front`, no proxy is in front of it."""
    if cloud == "aws":
        with lambda_runtime(function) as environment:
            application = gateway_application(environment.invoke)
            with serving_wsgi(in_front(application) if in_front else application, port) as url:
                yield environment, url
        return
    runtime = container_runtime if cloud == CONTAINER else functions_runtime
    if in_front is None:
        with runtime(function, port=port, timeout=timeout) as instance:
            yield instance, instance.url
    else:
        with (
            runtime(function, timeout=timeout) as instance,
            serving_wsgi(in_front(forwarding(instance.url, timeout)), port) as url,
        ):
            yield instance, url


def _check_store(cloud: str, store: str | None) -> None:
    *schemes, last = _SCHEMES[cloud]
    if store is not None and store.partition("://")[0] not in (*schemes, last):
        expected = ", ".join(f"{scheme}://" for scheme in schemes)
        raise StoreUrlError(
            f"{store!r} does not work with --cloud {cloud}; expected {expected} or {last}:// "
            "('pilotlight copy' copies a version to another store)"
        )


def compile_code(cloud: str, folder: Path, function: str = PREDICT) -> None:
    """Stage the code of a function in `folder`, which must be new; with bytecode, as in a package."""
    stage_code(cloud, folder, function)
    compileall.compile_dir(folder, quiet=1)


def prepare(
    cloud: str,
    lock: Path,
    folder: Path,
    environ: Mapping[str, str],
    function: str = PREDICT,
    *,
    code: Path | None = None,
) -> Function:
    """Stage a function for this machine's Python in `folder`, which must be new. `code`: see `serving`."""
    if code:
        shutil.copytree(code, folder)  # with the files' times, which bytecode is bound to
    else:
        compile_code(cloud, folder, function)
    add_pinned(lock, folder, function)
    packages = [host_packages(requirements(cloud, lock, function))]
    if cloud == "aws":
        packages.append(runtime_packages())
    return Function(folder, tuple(packages), environ)
