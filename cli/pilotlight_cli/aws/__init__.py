"""The stack on AWS as the command sees it."""

from pilotlight.errors import PilotlightError


class AwsUsageError(PilotlightError):
    """A name or an option that no call of AWS should be made with: wrong usage, exit code 2."""
