"""A rollout's record, an annotation of the service, and whether the traffic still matches it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from pilotlight.errors import FormatError
from pilotlight.model.json_document import Node, read_json
from pilotlight_cli.gcp import UnexpectedState
from pilotlight_cli.gcp.services import Service, Share
from pilotlight_cli.gcp.settings import TAG

ANNOTATION = "pilotlight.dev/rollout"
FORMAT = 1

# The revision that the last rollout put into service, and the one before it, separated by a slash.
BEFORE = "pilotlight.dev/before"


@dataclass(frozen=True, slots=True)
class State:
    """A rollout in progress: its revisions, the percentage of the new one, when that step began.

    `lock` is the first part of the deployed model.lock's SHA-256: only its golden samples fit the new revision.
    """

    old: str
    new: str
    percent: int
    started: datetime
    lock: str

    @property
    def split(self) -> dict[str, int]:
        """The percentage of each revision that has traffic."""
        shares = {self.old: 100 - self.percent, self.new: self.percent}
        return {revision: percent for revision, percent in shares.items() if percent}

    def moved_to(self, percent: int, now: datetime) -> State:
        """Return the same rollout at the next step."""
        return replace(self, percent=percent, started=now)


def rollout_on(service: Service) -> State | None:
    """Return the rollout in progress on a service, if any. Raises UnexpectedState if its record is malformed."""
    if ANNOTATION not in service.annotations:
        return None
    try:
        fields = Node(read_json(service.annotations[ANNOTATION].encode())).document(
            FORMAT, "old", "new", "percent", "started", "lock"
        )
        return State(
            old=fields["old"].string(),
            new=fields["new"].string(),
            percent=fields["percent"].integer(at_least=0),
            started=datetime.fromisoformat(fields["started"].string()),
            lock=fields["lock"].string(),
        )
    except (FormatError, ValueError) as error:
        raise UnexpectedState(
            f"the annotation {ANNOTATION} of the service {service.name} is malformed ({error}); {_remedy(service)}"
        ) from None


def full_traffic_revision(service: Service) -> str:
    """Return the revision with all traffic, or "" where several share it."""
    return next((revision for revision, percent in service.split.items() if percent == 100), "")


def check_traffic(service: Service, state: State) -> None:
    """Raise UnexpectedState if the traffic is not as the rollout left it."""
    if service.split != state.split or not service.pinned:
        raise UnexpectedState(
            f"the traffic of {service.name} was changed outside of the rollout of {state.new}: found "
            f"{split_text(service.split)}, expected {split_text(state.split)} by name; {_remedy(service)}"
        )


def annotations_with(service: Service, state: State | None) -> dict[str, str]:
    """Return the service's annotations with the record of `state`, or with none."""
    others = {name: text for name, text in service.annotations.items() if name != ANNOTATION}
    if state is None:
        return others
    document = {
        "format": FORMAT,
        "old": state.old,
        "new": state.new,
        "percent": state.percent,
        "started": state.started.isoformat(timespec="seconds"),
        "lock": state.lock,
    }
    return others | {ANNOTATION: json.dumps(document)}


def annotations_after(service: Service, state: State, revision: str) -> dict[str, str]:
    """Return the service's annotations after a rollout that gave all traffic to a revision."""
    done = {BEFORE: f"{state.new}/{state.old}"} if revision == state.new else {}
    return annotations_with(service, None) | done


def revision_before(service: Service) -> str:
    """Return the revision before the one with all traffic, or "" where no rollout recorded it."""
    new, _, old = service.annotations.get(BEFORE, "").partition("/")
    return old if new and new == full_traffic_revision(service) else ""


def traffic_of(service: Service, state: State) -> tuple[Share, ...]:
    """Return the traffic in that state, with the rollout's tag on the new revision. Other tags stay."""
    return (*_shares(service, state.split), Share(state.new, 0, TAG))


def all_traffic(service: Service, revision: str) -> tuple[Share, ...]:
    """Return all traffic on one revision by name, without the rollout's tag, which would keep instances alive."""
    return _shares(service, {revision: 100})


def is_tagged(service: Service) -> bool:
    """Return whether a revision has the rollout's tag, which keeps its instances alive."""
    return any(share.tag == TAG for share in service.traffic)


def untagged(service: Service) -> tuple[Share, ...]:
    """Return the current traffic without the rollout's tag."""
    shares = (replace(share, tag="") if share.tag == TAG else share for share in service.traffic)
    return tuple(share for share in shares if share.percent or share.tag)


def split_text(split: dict[str, int]) -> str:
    """Format a split: `a 90 %, b 10 %`."""
    return ", ".join(f"{revision} {percent} %" for revision, percent in split.items())


def _shares(service: Service, split: dict[str, int]) -> tuple[Share, ...]:
    tags = (Share(share.revision, 0, share.tag) for share in service.traffic if share.tag and share.tag != TAG)
    return (*(Share(revision, percent) for revision, percent in split.items()), *tags)


def _remedy(service: Service) -> str:
    return (
        "route all traffic to one revision ('gcloud run services update-traffic "
        f"{service.name} --to-revisions=REVISION=100'), then run 'pilotlight rollout gcp' again"
    )
