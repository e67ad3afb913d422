"""A report as a single HTML page, without scripts and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from pilotlight_cli.comparing import words
from pilotlight_cli.comparing.numbers import Bin
from pilotlight_cli.comparing.predictions import Compared, Predictions
from pilotlight_cli.comparing.report import Report

_MOST_POINTS: Final = 2000
_SIDE: Final = 320  # of a drawing, in pixels
_MARGIN: Final = 14

_STYLE: Final = """
:root { color-scheme: light dark; --line: light-dark(#d0d7de, #3d444d); --mark: light-dark(#0969da, #4493f8);
  --quiet: light-dark(#57606a, #9198a1); --bad: light-dark(#b3261e, #ff938a); --good: light-dark(#116329, #56d364) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.5rem } h3 { font-size: 1rem; margin-top: 2rem }
table { border-collapse: collapse; margin: 1rem 0 } .wide { overflow-x: auto }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td { overflow-wrap: anywhere } td.count { text-align: right; font-variant-numeric: tabular-nums }
.quiet { color: var(--quiet); font-size: .875rem } .breaking { color: var(--bad); font-weight: 600 }
.compatible { color: var(--good) } .output { display: flex; flex-wrap: wrap; gap: 1rem 3rem; align-items: flex-start }
.bar { background: var(--mark); height: .9rem; min-width: 1px } td.bars { width: 14rem }
svg { border: 1px solid var(--line) } svg line { stroke: var(--quiet) }
svg circle { fill: var(--mark); fill-opacity: .5 }
figure { margin: 0 } figcaption { color: var(--quiet); font-size: .875rem; max-width: 20rem }
"""


def page(report: Report) -> str:
    """Return the page. All texts are escaped: names and labels come from whoever published the models."""
    title = f"{report.sides[0].title} and {report.sides[1].title}"
    body = "\n".join(_body(report, title))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _body(report: Report, title: str) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    yield _table(("", *(side.name for side in report.sides)), words.facts(report))
    yield f'<p class="quiet">{escape(words.conditions(report))}</p>'
    for note in report.notes:
        yield f'<p class="quiet">{escape(note)}</p>'
    yield "<h2>Contract</h2>"
    yield _contract(report)
    if report.predictions:
        yield from _predictions(report, report.predictions)


def _contract(report: Report) -> str:
    if not report.changes:
        return "<p>The contract is the same.</p>"
    rows = []
    for change in report.changes:
        kind = "breaking" if change.breaks else "compatible"
        named = f"{change.kind}: {change.name}" if change.name else change.kind
        texts = map(escape, (named, change.before, change.after, change.breaks))
        rows.append((f'<span class="{kind}">{kind}</span>', *texts))
    return _marked(("", "change", "before", "after", "why it breaks callers"), rows)


def _predictions(report: Report, found: Predictions) -> Iterator[str]:
    yield f"<h2>{escape(words.heading(report, found))}</h2>"
    for name, count, example in words.refusals(report, found):
        yield f'<p class="breaking">{escape(f"{name} {count}, such as {example}")}</p>'
    for one in found.outputs:
        yield f'<section>\n<h3>{escape(words.output_name(one))}</h3>\n<div class="output">'
        yield "\n".join(_output(found, one))
        yield "</div>\n</section>"


def _output(found: Predictions, one: Compared) -> Iterator[str]:
    if one.problem:
        yield f"<p>cannot be compared: {escape(one.problem)}</p>"
    rows = words.statistics(found, one)
    if rows:
        yield _table(("", ""), rows)
    if one.flips and one.flips.count:
        yield _table(("before", "after", "values"), [(old, new, str(count)) for old, new, count in one.flips.kinds])
        yield _table(("example", "before", "after"), [words.flip(found, one, each) for each in one.flips.examples])
    if one.differences and one.differences.count:
        yield _histogram(one.differences.bins)
        yield _scatter(one)


def _histogram(bins: Sequence[Bin]) -> str:
    most = max(each.count for each in bins)
    rows = [
        (
            escape(label),
            f'<div class="bar" style="width: {100 * count / most:.1f}%"></div>' if count else "",
            str(count),
        )
        for label, count in words.bars(bins)
    ]
    body = "\n".join(
        f'<tr><th scope="row">{label}</th><td class="bars">{bar}</td><td class="count">{count}</td></tr>'
        for label, bar, count in rows
    )
    head = '<tr><th scope="col">difference</th><th scope="col"></th><th scope="col">values</th></tr>'
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _scatter(one: Compared) -> str:
    """Return a drawing of the values before (across) and after (up), with the line on which they are equal."""
    pairs = [
        (float(old), float(new))
        for old, new in zip(one.before, one.after, strict=True)
        if isinstance(old, (int, float)) and isinstance(new, (int, float))
    ]
    shown = pairs[:: max(1, -(-len(pairs) // _MOST_POINTS))]
    values = [value for pair in shown for value in pair]
    low, high = min(values), max(values)

    def place(value: float) -> float:
        return _MARGIN + (value - low) / ((high - low) or 1.0) * (_SIDE - 2 * _MARGIN)

    points = "".join(f'<circle cx="{place(old):.1f}" cy="{_SIDE - place(new):.1f}" r="3"/>' for old, new in shown)
    bounds = f"from {words.number(low)} to {words.number(high)}"
    caption = f"Before (across) and after (up), {bounds}: values on the line are equal."
    few = f" {len(shown)} of {len(pairs)} values." if len(shown) < len(pairs) else ""
    return (
        f'<figure>\n<svg width="{_SIDE}" height="{_SIDE}" viewBox="0 0 {_SIDE} {_SIDE}" role="img" '
        f'aria-label="{escape(words.output_name(one))} before and after">\n'
        f'<line x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0"/>{points}\n</svg>\n'
        f"<figcaption>{escape(caption + few)}</figcaption>\n</figure>"
    )


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return _marked([escape(header) for header in headers], [[escape(cell) for cell in row] for row in rows])


def _marked(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells in HTML."""
    head = "".join(f'<th scope="col">{header}</th>' for header in headers)
    lines = [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    shown = f"<thead><tr>{head}</tr></thead>\n" if any(headers) else ""
    body = "\n".join(lines)
    return f'<div class="wide"><table>\n{shown}<tbody>\n{body}\n</tbody>\n</table></div>'
