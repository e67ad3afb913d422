"""The function on Google Cloud as the command sees it: its settings, its deployment, its traffic.

GcpError             Google Cloud refused a call or did not answer; the message names what was asked for
├── NotThere         404: there is no such function, service or operation
├── NoAnswer         no answer, or one that may be another the next time: 429, 5xx
├── Conflict         somebody changed the service since it was read
├── Foreign          the traffic is as no rollout of ours left it, so it is not ours to change
├── NotGood          the new revision does not do what it should
└── RolledBack       the rollout did not succeed; the old revision has all traffic again
GcpUsageError        wrong usage, exit code 2
"""

from pilotlight.errors import PilotlightError


class GcpError(PilotlightError):
    """Google Cloud refused a call or did not answer; the message names what was asked for."""


class NotThere(GcpError):
    """404: there is no such function, service or operation."""


class NoAnswer(GcpError):
    """No answer, or one that may be another the next time; what was asked for may have happened."""


class Conflict(GcpError):
    """Somebody changed the service since it was read."""


class Foreign(GcpError):
    """The traffic is as no rollout of ours left it, so it is not ours to change."""


class NotGood(GcpError):
    """The new revision does not do what it should."""


class RolledBack(GcpError):
    """The rollout did not succeed; the old revision has all traffic again."""


class GcpUsageError(PilotlightError):
    """An option or an environment's name that no call of Google Cloud should be made with: exit code 2."""
