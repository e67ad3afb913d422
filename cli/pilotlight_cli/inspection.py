"""What `publish` finds out about a model file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pilotlight.description import Runtime
from pilotlight.golden import Golden
from pilotlight.signature import Signature


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model file as it is to be published. `files[0]` is what the runtime opens; `notes` say what was guessed."""

    format: str
    files: tuple[Path, ...]
    runtime: Runtime
    signature: Signature
    golden: Golden
    allowed_globals: tuple[str, ...] = ()
    extra_globals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
