"""The kernel's limits on this process, and the errors of an exhausted memory."""

from __future__ import annotations

import re
import resource
from typing import Final

# The name in a result of the error whose message is the parent's.
OUT_OF_MEMORY: Final = "OutOfMemory"

_TEXT: Final = re.compile(r"bad_alloc|bad allocation|[Ff]ailed to allocate memory|\bMemoryError\b")


def confine(memory: int, seconds: int) -> None:
    """Limit the memory and the processor time of this process. 0 bytes is no limit.

    RLIMIT_DATA limits writable memory: neither mapped files nor reserved addresses, of which libraries have gigabytes.
    An allocation beyond it fails; at the time limit the process gets SIGXCPU, and leaves no core dump.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_CPU, seconds)
    if memory:
        _lower(resource.RLIMIT_DATA, memory)


def is_exhaustion(error: BaseException) -> bool:
    """Return whether an error, or a cause of it, reports exhausted memory."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not any(cause is each for each in causes):  # a chain can be a cycle
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return any(isinstance(each, MemoryError) or mentions_exhaustion(str(each)) for each in causes)


def mentions_exhaustion(text: str) -> bool:
    """Return whether a library's message reports exhausted memory."""
    return _TEXT.search(text) is not None


def _lower(what: int, limit: int) -> None:
    """Set a soft limit, at most this process's hard one."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
