"""`pilotlight batch`: the rows of files through the pinned model, on this machine, in parts that are committed."""

from pilotlight.errors import PilotlightError


class BatchFailed(PilotlightError):
    """The work could not be done; what was committed stays, and the same command goes on from there."""
