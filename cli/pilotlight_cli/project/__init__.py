"""A user's project: the folder with pilotlight.toml. It holds one model at its root, or several in models/."""

from pilotlight.errors import PilotlightError


class ProjectUsageError(PilotlightError):
    """There is no project here, or it has no such model; the message has the remedy."""
