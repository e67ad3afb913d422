from __future__ import annotations


class CannotConvert(Exception):
    """The model cannot be converted; the message says why, and what to do."""
