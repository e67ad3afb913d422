"""A report as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilotlight.model.contract import Change
from pilotlight_cli.comparing import words
from pilotlight_cli.comparing.predictions import Compared, Predictions
from pilotlight_cli.comparing.report import Report
from pilotlight_cli.markdown import code, table

_MOST = 200  # characters of a reason or a list of names
_ROWS = 30  # of a table; a comment on GitHub has a limit


def markdown(report: Report) -> str:
    """Return the whole report."""
    names = [code(side.name) for side in report.sides]
    parts = [
        table(("", *names), [(fact, code(old), code(new)) for fact, old, new in words.facts(report)]),
        words.conditions(report),
        contract(report.changes),
        *(f"> {code(note, _MOST)}" for note in report.notes),
        *([predictions(report, report.predictions)] if report.predictions else []),
    ]
    return "\n\n".join(parts)


def contract(changes: Sequence[Change]) -> str:
    """Return the changes of a contract as a list, with those that break callers first."""
    if not changes:
        return "The contract is the same."
    breaking = [_change(change) for change in changes if change.breaks]
    others = [_change(change) for change in changes if not change.breaks]
    parts = [("**The contract breaks callers:**", breaking), ("The contract changes, and no caller notices:", others)]
    return "\n\n".join("\n".join([title, "", *_first(lines)]) for title, lines in parts if lines)


def _first(lines: Sequence[str]) -> list[str]:
    more = [f"- {len(lines) - _ROWS} more"] if len(lines) > _ROWS else []
    return [*lines[:_ROWS], *more]


def _change(change: Change) -> str:
    about = f" of {code(change.name)}" if change.name else ""
    why = f": {change.breaks}" if change.breaks else ""
    return f"- {change.kind}{about}, {code(change.before, _MOST)} -> {code(change.after, _MOST)}{why}"


def predictions(report: Report, found: Predictions) -> str:
    """Return what the predictions say."""
    heading = words.heading(report, found).removesuffix(report.source) + code(report.source)
    return "\n\n".join([heading, *_predictions(report, found)])


def _predictions(report: Report, found: Predictions) -> Iterator[str]:
    for name, count, example in words.refusals(report, found):
        yield f"{code(name)} {count}, such as {code(example, _MOST)}"
    rows = [row for one in found.outputs[:_ROWS] for row in _rows(found, one)]
    yield table(("output", "", ""), rows)
    examples = [
        f"- {code(words.output_name(one))}, {row}: {code(old)} -> {code(new)}"
        for one in found.outputs[:_ROWS]
        for row, old, new in (words.flip(found, one, each) for each in (one.flips.examples if one.flips else ()))
    ]
    if examples:
        yield "\n".join(examples)


def _rows(found: Predictions, one: Compared) -> Iterator[tuple[str, str, str]]:
    name = code(words.output_name(one))
    if one.problem:
        yield name, "cannot be compared", code(one.problem, _MOST)
    for index, (what, value) in enumerate(words.statistics(found, one)):
        yield name if index == 0 else "", what, value.replace("|", "\\|")
