"""ONNX models on ONNX Runtime's C API: without numpy, and with less work at each call than the binding."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from ctypes import Array, byref, c_char_p, c_int, c_size_t, c_void_p, sizeof
from pathlib import Path

from pilotlight.errors import PredictionTimeout
from pilotlight.frozen import TYPE_CHECKING
from pilotlight.model.lock import DEFAULT_SESSION, Description, Session
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import Tensor
from pilotlight.runtimes.onnx import CONFIGURATIONS, RUN_FAILURES, SMALLEST, check_files, check_refusal, check_signature
from pilotlight.runtimes.onnx.c_library import NO_LOG, Api, Function, OrtError, library
from pilotlight.runtimes.onnx.c_values import InputPlace, Memory, Nodes, OutputPlace
from pilotlight.runtimes.watchdog import Watchdog

if TYPE_CHECKING:
    from pilotlight.runtimes.onnx.late_threads import LateThreads

_NO_OPTIMIZATION = c_int(0)  # ORT_DISABLE_ALL


class OnnxCModel:
    """A session, and a pool of runs with memory of their own: as many as were ever active at once."""

    def __init__(self, new_run: Callable[[], Run]) -> None:
        self._new_run = new_run
        self._idle: list[Run] = []
        self._watchdog = Watchdog(time.monotonic)

    def predict(self, inputs: Sequence[Tensor], timeout: float | None = None) -> tuple[Tensor, ...]:
        """See `runtimes.Model.predict`. Raises InvalidRequest, OrtError, ModelError or PredictionTimeout."""
        try:
            run = self._idle.pop()
        except IndexError:
            run = self._new_run()
        try:
            return run(inputs, timeout, self._watchdog)
        finally:
            self._idle.append(run)


class Run:
    """A reusable run: its options, the values of its inputs and outputs, and the arguments of its calls."""

    def __init__(self, api: Api, session: c_void_p, memory: Memory, signature: Signature, options: c_void_p) -> None:
        input_count, output_count = len(signature.inputs), len(signature.outputs)
        input_values, output_values = (c_void_p * input_count)(), (c_void_p * output_count)()
        self._inputs = [
            InputPlace(api, memory, tensor.datatype, _element(input_values, index))
            for index, tensor in enumerate(signature.inputs)
        ]
        self._outputs = [
            OutputPlace(api, tensor.name, tensor.datatype, _element(output_values, index))
            for index, tensor in enumerate(signature.outputs)
        ]
        input_names = (c_char_p * input_count)(*(tensor.name.encode() for tensor in signature.inputs))
        output_names = (c_char_p * output_count)(*(tensor.name.encode() for tensor in signature.outputs))
        self._api = api
        self._options = options
        inputs = (input_names, input_values, c_size_t(input_count))
        self._arguments = (session, options, *inputs, output_names, c_size_t(output_count), output_values)

    def __call__(self, inputs: Sequence[Tensor], timeout: float | None, watchdog: Watchdog) -> tuple[Tensor, ...]:
        """Run the session on the inputs and return its outputs."""
        try:
            for place, tensor in zip(self._inputs, inputs, strict=True):
                place.fill(tensor)
            if timeout is None:
                self._check(self._api.run(*self._arguments))
            else:
                self._run_until(timeout, watchdog)
            return tuple([place.read() for place in self._outputs])
        finally:
            for place in self._inputs:
                place.clear()
            for output in self._outputs:
                output.clear()

    def _run_until(self, timeout: float, watchdog: Watchdog) -> None:
        status: int | None = None
        run = watchdog.begin(timeout, self._terminate)
        try:
            status = self._api.run(*self._arguments)
        finally:
            if watchdog.end(run):
                self._api.check(self._api.run_options_unset_terminate(self._options))
                self._api.discard(status)
                raise PredictionTimeout
        self._check(status)

    def _check(self, status: int | None) -> None:
        try:
            self._api.check(status)
        except OrtError as error:
            if error.code in RUN_FAILURES:
                check_refusal(error)
            raise

    def _terminate(self) -> None:
        self._api.run_options_set_terminate(self._options)


def load(model: Description, folder: Path, threads: int, *, late: bool = False, device: str = "") -> OnnxCModel:
    """Load `files[0]`, which may keep tensors in the other files, into a session.

    `late`: its threads start with its first run. `device`: as `runtimes.load` has it.

    Raises RuntimeMismatch, ModelError if the file cannot be loaded or does not match the signature, or OrtError.
    """
    api = library(model.runtime.packages)
    check_files(model, folder)
    signature = model.signature
    with ExitStack() as stack:
        memory = Memory(api)
        stack.callback(api.release_memory_info, memory.info)
        options = _options(api, stack, model.runtime.session, threads, model.format, device=device)
        threads_later = _threads_later(api, stack, options) if late and threads > 1 else None
        session = _open(api, stack, folder / model.files[0].name, options)
        nodes = Nodes(api, memory, session)
        check_signature("input", signature.inputs, nodes.inputs())
        check_signature("output", signature.outputs, nodes.outputs())

        resources = ExitStack()

        def new_run() -> Run:
            if threads_later is not None:
                threads_later.start()
            options = _create(api, resources, api.release_run_options, api.create_run_options)
            return Run(api, session, memory, signature, options)

        resources.push(stack.pop_all())  # from here on released with the model
        loaded = OnnxCModel(new_run)
        weakref.finalize(loaded, resources.close).atexit = False
    return loaded


def _threads_later(api: Api, stack: ExitStack, options: c_void_p) -> LateThreads:
    from pilotlight.runtimes.onnx.late_threads import LateThreads  # noqa: PLC0415 - only where processes fork

    threads = LateThreads()
    stack.callback(threads.forget)
    threads.configure(api, options)
    return threads


def preload(packages: Mapping[str, str], device: str = "") -> None:
    """Do the one-time work of a process's first session, before there is a file to load.

    Raises RuntimeMismatch or OrtError.
    """
    api = library(packages)
    with ExitStack() as stack:
        options = _options(api, stack, DEFAULT_SESSION, threads=1, device=device)
        size = c_size_t(len(SMALLEST))
        _create(
            api,
            stack,
            api.release_session,
            lambda out: api.create_session_from_array(api.environment, SMALLEST, size, options, out),
        )


def _open(api: Api, stack: ExitStack, path: Path, options: c_void_p) -> c_void_p:
    name = os.fsencode(path)
    try:
        return _create(
            api, stack, api.release_session, lambda out: api.create_session(api.environment, name, options, out)
        )
    except OrtError as error:
        from pilotlight.runtimes.onnx.refusals import load_error  # noqa: PLC0415 - a start does not need it

        raise load_error(path.name, error, api.version) from error


def _options(
    api: Api, stack: ExitStack, session: Session, threads: int, artifact_format: str = "onnx", *, device: str
) -> c_void_p:
    options = _create(api, stack, api.release_session_options, api.create_session_options)
    api.check(api.set_intra_op_num_threads(options, c_int(threads)))
    api.check(api.set_inter_op_num_threads(options, c_int(1)))
    api.check(api.set_session_log_severity_level(options, NO_LOG))
    for key, value in CONFIGURATIONS[artifact_format].items():
        api.check(api.add_session_config_entry(options, key.encode(), value.encode()))
    if session.graph_optimization == "off":
        api.check(api.set_session_graph_optimization_level(options, _NO_OPTIMIZATION))
    if not session.prepacking:
        api.check(api.add_session_config_entry(options, b"session.disable_prepacking", b"1"))
    if device == "cuda":
        from pilotlight.runtimes.onnx import cuda  # noqa: PLC0415 - few machines have a GPU

        cuda.append(api, options)
    return options


def _create(api: Api, stack: ExitStack, release: Function, create: Function) -> c_void_p:
    """Create one of the library's objects, which `stack` releases."""
    pointer = c_void_p()
    api.check(create(byref(pointer)))
    stack.callback(release, pointer)
    return pointer


def _element(array: Array[c_void_p], index: int) -> c_void_p:
    """Return the array's element itself, not a copy."""
    return c_void_p.from_buffer(array, index * sizeof(c_void_p))
