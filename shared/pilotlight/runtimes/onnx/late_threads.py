"""A session's threads that start with its first run: a session that was made before a fork then outlives it.

ONNX Runtime lets its caller create the threads of a session's pool. Work that no thread has taken, the one that waits
for it does itself, so that a session is made without any.
https://onnxruntime.ai/docs/performance/tune-performance/threading.html#custom-threading-callbacks
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_void_p, cast

from pilotlight.runtimes.onnx.c_library import Api

_WORK = CFUNCTYPE(None, c_void_p)
_CREATE = CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p)  # options, work, its argument; returns a handle
_JOIN = CFUNCTYPE(None, c_void_p)  # the handle


class LateThreads:
    """The threads of one session. A handle is a thread's number, from 1 on.

    Not even a Thread is made before the fork: from Python 3.13 on one cannot be started in a child.
    """

    def __init__(self) -> None:
        self._work: list[tuple[Callable[[int], None], int]] = []
        self._threads: list[threading.Thread] = []  # of the first work
        self._starting = threading.Lock()
        self._callbacks: tuple[object, ...] = (_CREATE(self._create), _JOIN(self._join))

    def configure(self, api: Api, options: c_void_p) -> None:
        """Have a session of these options ask for its threads here. Raises OrtError."""
        create, join = (cast(callback, c_void_p) for callback in self._callbacks)  # type: ignore[arg-type]
        api.check(api.set_custom_create_thread_fn(options, create))
        api.check(api.set_custom_join_thread_fn(options, join))

    def start(self) -> None:
        """Start what has not been started. Raises RuntimeError if the system has no more threads."""
        with self._starting:
            for run, argument in self._work[len(self._threads) :]:
                thread = threading.Thread(target=run, args=(argument,), name="onnxruntime", daemon=True)
                thread.start()
                self._threads.append(thread)

    def forget(self) -> None:
        """Release the callbacks, once the session is released."""
        self._callbacks = ()

    def _create(self, _options: int, work: int, argument: int) -> int:
        self._work.append((_WORK(work), argument))
        return len(self._work)

    def _join(self, handle: int) -> None:
        if handle <= len(self._threads):
            self._threads[handle - 1].join()
