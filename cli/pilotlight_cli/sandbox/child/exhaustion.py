"""Within this process, the kernel's limits; and errors that say that there was no more memory."""

from __future__ import annotations

import re
import resource
from typing import Final

# What an answer calls the error whose sentence is the parent's.
OUT_OF_MEMORY: Final = "OutOfMemory"

_TEXT: Final = re.compile(r"bad_alloc|bad allocation|[Ff]ailed to allocate memory|\bMemoryError\b")


def confine(memory: int, seconds: int) -> None:
    """Have the kernel count what this process allocates and how long it computes. 0 bytes is no limit.

    It counts RLIMIT_DATA, what can be written: neither files that are mapped nor addresses that are reserved, which
    libraries do by the gigabyte. An allocation beyond it fails; the time's end is SIGXCPU, without a dump of memory.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_CPU, seconds)
    if memory:
        _lower(resource.RLIMIT_DATA, memory)


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that there was no memory."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or tells_exhaustion(str(seen)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def tells_exhaustion(text: str) -> bool:
    """Whether a library's words say that there was no memory."""
    return _TEXT.search(text) is not None


def _lower(what: int, limit: int) -> None:
    """A soft limit below the hard one that this process was given."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
