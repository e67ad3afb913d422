"""What Lambda gives a function: memory as configured, and processors in proportion to it.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from pilotlight.start.machine import Machine, visible_processors

_VARIABLE = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"

# MB for a whole processor. Below that a function sees two and gets a share of one.
_PROCESSOR = 1769


def machine(environ: Mapping[str, str]) -> Machine:
    """The machine that Lambda's own variable describes; where it is not set, the one that is found."""
    size = environ.get(_VARIABLE, "")
    if not size.isdecimal():
        from pilotlight.start.cgroups import here  # noqa: PLC0415 - Lambda sets it

        return here()
    processors = max(1, min(int(size) // _PROCESSOR, visible_processors()))
    memory = int(size) << 20
    return Machine(processors, memory, max(0, memory - _own_memory()))


def _own_memory() -> int:
    """Bytes that this process holds by now, without what is mapped from files and can be dropped."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no need of an object for the path
        _, resident, shared, *_ = map(int, file.read().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
