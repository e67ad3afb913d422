"""What is annotations_with on the service while a rollout is under way, and whether the traffic is still as it says."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from pilotlight.errors import FormatError
from pilotlight.model.json_document import Node, read_json
from pilotlight_cli.gcp import Foreign
from pilotlight_cli.gcp.services import Service, Share
from pilotlight_cli.gcp.settings import TAG

ANNOTATION = "pilotlight.dev/rollout"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class State:
    """A rollout under way: the revisions, the percentage of the new one, since when it has had that.

    `lock` begins the SHA-256 of the model.lock that was deployed: other golden samples would tell nothing.
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

    def at(self, percent: int, now: datetime) -> State:
        """The same rollout, one step on."""
        return replace(self, percent=percent, started=now)


def rollout_on(service: Service) -> State | None:
    """The rollout that is under way on a service. Raises Foreign where its note cannot be read."""
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
        raise Foreign(
            f"the annotation {ANNOTATION} of the service {service.name} cannot be read ({error}); {_by_hand(service)}"
        ) from None


def full_traffic_revision(service: Service) -> str:
    """The revision that has all traffic, or "" where several share it."""
    return next((revision for revision, percent in service.split.items() if percent == 100), "")


def check_ours(service: Service, state: State) -> None:
    """Raise Foreign where somebody else changed the traffic during the rollout."""
    if service.split != state.split or not service.pinned:
        raise Foreign(
            f"the traffic of {service.name} was changed by hand: found {split_text(service.split)}, expected "
            f"{split_text(state.split)} as the rollout of {state.new} left it; {_by_hand(service)}"
        )


def annotations_with(service: Service, state: State | None) -> dict[str, str]:
    """The service's annotations with this state, or without one."""
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


def traffic_of(service: Service, state: State) -> tuple[Share, ...]:
    """The traffic in that state. Tags that others set stay; ours leads to the new revision."""
    return (*_shares(service, state.split), Share(state.new, 0, TAG))


def all_traffic(service: Service, revision: str) -> tuple[Share, ...]:
    """All traffic on one revision, by its name; our tag goes, since it keeps instances alive."""
    return _shares(service, {revision: 100})


def is_tagged(service: Service) -> bool:
    """Whether our tag is on a revision, whose instances it keeps alive."""
    return any(share.tag == TAG for share in service.traffic)


def untagged(service: Service) -> tuple[Share, ...]:
    """The traffic as it is, without our tag."""
    shares = (replace(share, tag="") if share.tag == TAG else share for share in service.traffic)
    return tuple(share for share in shares if share.percent or share.tag)


def split_text(split: dict[str, int]) -> str:
    """A split for people: `a 90 %, b 10 %`."""
    return ", ".join(f"{revision} {percent} %" for revision, percent in split.items())


def _shares(service: Service, split: dict[str, int]) -> tuple[Share, ...]:
    tags = (Share(share.revision, 0, share.tag) for share in service.traffic if share.tag and share.tag != TAG)
    return (*(Share(revision, percent) for revision, percent in split.items()), *tags)


def _by_hand(service: Service) -> str:
    return (
        "give one revision all traffic ('gcloud run services update-traffic "
        f"{service.name} --to-revisions=REVISION=100'), then run 'pilotlight rollout gcp' again"
    )
