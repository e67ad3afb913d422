"""The function on Google Cloud as the command sees it: its settings, its deployment, its traffic.

GcpError             Google Cloud refused a call or did not answer; the message names the call
├── NoCredentials    gcloud is not installed, or nobody is signed in to it
├── NoAccess         403: the signed-in account lacks a permission
├── NotFound         404: no such function, service or operation
├── Unavailable      no response, or one that a retry may change: 429, 5xx
├── Conflict         the service changed since it was read
├── UnexpectedState  the traffic or the rollout on the service is not as this rollout left it, so it is left alone
├── RevisionFailed   the new revision failed a check
└── RolledBack       the rollout failed; the old revision has all traffic again
GcpUsageError        wrong usage, exit code 2
"""

from pilotlight.errors import PilotlightError


class GcpError(PilotlightError):
    """Google Cloud refused a call or did not answer; the message names the call."""


class NoCredentials(GcpError):
    """Gcloud is not installed, or nobody is signed in to it."""


class NoAccess(GcpError):
    """403: the signed-in account lacks a permission."""


class NotFound(GcpError):
    """404: no such function, service or operation."""


class Unavailable(GcpError):
    """No response, or one that a retry may change. The call may have taken effect."""


class Conflict(GcpError):
    """The service changed since it was read."""


class UnexpectedState(GcpError):
    """The traffic or the rollout on the service is not as this rollout left it, so it is left alone."""


class RevisionFailed(GcpError):
    """The new revision failed a check."""


class RolledBack(GcpError):
    """The rollout failed; the old revision has all traffic again."""


class GcpUsageError(PilotlightError):
    """An option or an environment's name is wrong; nothing was sent to Google Cloud. Exit code 2."""
