"""The stack on AWS as the command sees it."""

from pilotlight.errors import PilotlightError


class AwsUsageError(PilotlightError):
    """An invalid name or option, found before any call of AWS: wrong usage, exit code 2."""
