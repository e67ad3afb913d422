"""Writing the files by which other platforms run the pinned model."""

from __future__ import annotations

from pilotlight.errors import PilotlightError


class RenderUsageError(PilotlightError):
    """What was asked for cannot be rendered; the message says what can."""
