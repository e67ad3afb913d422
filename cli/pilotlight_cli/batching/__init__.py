"""`pilotlight batch`: the rows of files through the pinned model, on this machine, in parts that are committed."""

from pilotlight.errors import PilotlightError


class BatchUsageError(PilotlightError):
    """The input, the output or an option of the command is not usable as given."""


class FileChanged(PilotlightError):
    """A file is not as it was listed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has changed since the job began; name another output to score it as it is now")


class BatchFailed(PilotlightError):
    """The work could not be done; what was committed stays, and the same command goes on from there."""
