"""`shadow.lock`, beside `model.lock`: the version that sees what the pinned one does, and how many requests of it."""

from __future__ import annotations

from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.experiments.assignment import BUCKETS
from pilotlight.experiments.lock import Control, check_control, check_libraries, read_control, write_control
from pilotlight.frozen import dataclass
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.lock import FIELDS, OPTIONAL_FIELDS, Description, read_description, write_description

FORMAT = 1
FILE = "shadow.lock"


@dataclass(frozen=True, slots=True)
class ShadowLock:
    """A shadow of the control. It sees `sample` of 10,000 requests."""

    control: Control
    sample: int
    model: Description

    @property
    def variant(self) -> str:
        """Its name in the log."""
        return f"{self.model.name}:{self.model.version}"


def load_shadow(path: Path, pinned: Description) -> ShadowLock:
    """Read the shadow in a file. Raise FormatError if it is malformed, or not about the pinned version."""
    try:
        shadow = read_shadow(path.read_bytes())
        check_control(shadow.control, pinned)
        check_libraries(shadow.model, pinned, "$.model.runtime")
    except FormatError as error:
        raise error.within(path.name) from None
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", "", path.name) from None
    return shadow


def read_shadow(content: bytes) -> ShadowLock:
    """Parse the bytes of a `shadow.lock` (shared/schema/shadow.schema.json). Raise FormatError."""
    fields = Node(read_json(content)).document(FORMAT, "control", "sample", "model")
    control = read_control(fields["control"])
    model = read_description(fields["model"].fields(*FIELDS, optional=OPTIONAL_FIELDS))
    if model.name != control.name or model.version == control.version:
        raise FormatError(
            f"expected another version of {control.name}, found {model.name}:{model.version}", "$.model.version"
        )
    return ShadowLock(control, fields["sample"].integer(1, BUCKETS), model)


def write_shadow(shadow: ShadowLock) -> dict[str, object]:
    """Return the JSON form of a shadow."""
    return {
        "format": FORMAT,
        "control": write_control(shadow.control),
        "sample": shadow.sample,
        "model": write_description(shadow.model),
    }
