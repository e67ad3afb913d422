"""The trace that a request belongs to, by W3C's headers: https://www.w3.org/TR/trace-context/.

Callers may send anything; a value of another form is ignored, as the recommendation says.
"""

from __future__ import annotations

import re

from pilotlight.frozen import dataclass

# Version, trace, span, flags, and what later versions may add.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of the caller's. `trace` has 32 hexadecimal digits, `span` 16, `flags` 2, in lower case."""

    trace: str
    span: str
    flags: str

    @property
    def is_sampled(self) -> bool:
        """Whether the caller may record the trace."""
        return bool(int(self.flags, 16) & _SAMPLED)


def read_traceparent(value: str) -> TraceContext | None:
    """Return the context in the header `traceparent`, or None if it is not valid.

    Version ff is not, nor an id of zeros, nor more than four parts in version 00. Of a later version the parts of this
    one count.
    """
    match = _TRACEPARENT.fullmatch(value.strip(" \t"))
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or trace == _NO_TRACE or span == _NO_SPAN:
        return None
    return TraceContext(trace, span, flags)
