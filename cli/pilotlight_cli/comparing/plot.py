"""A report as a PNG, drawn by matplotlib: for each output the differences, and both models' values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pilotlight.errors import PilotlightError
from pilotlight_cli.comparing import words
from pilotlight_cli.comparing.predictions import Compared
from pilotlight_cli.comparing.report import Report
from pilotlight_cli.extras import needing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

with needing("plot", "'pilotlight diff --plot'"):
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

_MOST_POINTS: Final = 20_000
_MOST_OUTPUTS: Final = 8
_COLOUR: Final = "#1f6feb"
_LINE: Final = "#57606a"


class NothingToDraw(PilotlightError):
    """No predictions were compared."""


def draw(report: Report, file: Path) -> None:
    """Write the plot: a row for each output. Raise NothingToDraw."""
    found = report.predictions
    outputs = [one for one in found.outputs if not one.problem][:_MOST_OUTPUTS] if found else []
    if not outputs or found is None:
        raise NothingToDraw("no predictions were compared, so there is nothing to draw; give rows with --rows")
    figure = Figure(figsize=(10, 1 + 3.6 * len(outputs)), dpi=120, layout="constrained")
    names = [side.title for side in report.sides]
    figure.suptitle(f"{names[0]} and {names[1]}, {words.heading(report, found).lower()}", parse_math=False)
    axes = figure.subplots(len(outputs), 2, squeeze=False)
    for one, (left, right) in zip(outputs, axes, strict=True):
        if one.flips:
            _draw_labels(one, left, right)
        else:
            _draw_numbers(one, left, right, names)
    figure.savefig(file, format="png")


def _draw_numbers(one: Compared, left: Axes, right: Axes, names: list[str]) -> None:
    pairs = [
        (float(old), float(new))
        for old, new in zip(one.before, one.after, strict=True)
        if isinstance(old, (int, float)) and isinstance(new, (int, float))
    ]
    apart = [new - old for old, new in pairs]
    bound = max(map(abs, apart), default=0.0) or 1.0
    left.hist(apart, bins=41, range=(-bound, bound), color=_COLOUR)
    left.set_yscale("symlog", linthresh=1)
    _name(left, words.output_name(one), "difference (after - before)", "values")
    shown = pairs[:: max(1, -(-len(pairs) // _MOST_POINTS))]
    right.scatter([old for old, _ in shown], [new for _, new in shown], s=8, alpha=0.5, color=_COLOUR, linewidths=0)
    values = [value for pair in shown for value in pair] or [0.0]
    right.plot([min(values), max(values)], [min(values), max(values)], color=_LINE, linewidth=1)
    _name(right, words.output_name(one), names[0], names[1])


def _draw_labels(one: Compared, left: Axes, right: Axes) -> None:
    flips = one.flips
    if flips is None:
        return
    left.barh(["differ", "equal"], [flips.count, flips.total - flips.count], color=_COLOUR)
    _name(left, f"{words.output_name(one)}: {words.percent(flips.share)} differ", "values", "")
    kinds = [(_short(f"{old} -> {new}"), count) for old, new, count in reversed(flips.kinds)]
    right.barh(range(len(kinds)), [count for _, count in kinds], color=_COLOUR)
    right.set_yticks(range(len(kinds)), [name for name, _ in kinds], parse_math=False)
    right.set_xlim(left=0)
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    _name(right, "most frequent changes" if kinds else "no label changes", "values", "")


def _name(axes: Axes, title: str, across: str, up: str) -> None:
    """Set texts, of which those from a model may look like formulas."""
    axes.set_title(_short(title), parse_math=False)
    axes.set_xlabel(_short(across), parse_math=False)
    axes.set_ylabel(_short(up), parse_math=False)


def _short(text: str) -> str:
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in shown)
