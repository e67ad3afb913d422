"""What a change of a pin does to predictions, as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pilotlight.errors import PilotlightError
from pilotlight_cli.comparing.markdown import predictions
from pilotlight_cli.comparing.report import compare_sides
from pilotlight_cli.comparing.sides import locked_side
from pilotlight_cli.comparing.words import conditions, facts
from pilotlight_cli.markdown import code, table
from pilotlight_cli.pinning.pin import REQUIREMENTS
from pilotlight_cli.sandbox.limits import DEFAULT
from pilotlight_cli.stores import Store

_LOCK = "model.lock"
_ROUNDS = 3
_TIMES = ("size", "load", "one row")
_MOST = 500  # characters of a reason


def compare_pins(
    before: Mapping[str, bytes], after: Mapping[str, bytes], store: Store, step: Callable[[str], None]
) -> str:
    """Compare two pins, given by their files, over the golden samples of both; or say why that is impossible."""
    try:
        old, new = (
            locked_side(name, files[_LOCK], files.get(REQUIREMENTS, b""), store, DEFAULT)
            for name, files in (("before", before), ("after", after))
        )
        report = compare_sides((old, new), "", "", _ROUNDS, step)
    except (PilotlightError, OSError) as error:
        return f"The predictions cannot be compared: {code(str(error), _MOST)}"
    rows = [(fact, code(mine), code(theirs)) for fact, mine, theirs in facts(report) if fact in _TIMES]
    notes = [f"> {code(note, _MOST)}" for note in report.notes]
    found = [predictions(report, report.predictions)] if report.predictions else []
    return "\n\n".join([table(("", "before", "after"), rows), conditions(report), *notes, *found])
