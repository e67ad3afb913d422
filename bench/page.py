"""The report: one page of HTML that needs nothing beside it, with the tables and pictures of a run."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tables import Table

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .4rem; }
p { max-width: 70ch; margin: .3rem 0 .8rem; color: #4a5663; }
table { border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #e3e7eb; vertical-align: top; }
th { border-bottom: 2px solid #aab4be; font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
tr.ours td { background: #eef7f6; }
td.yes { color: #18794e; font-weight: 600; } td.no { color: #b42318; font-weight: 600; }
.scroll { overflow-x: auto; } figure { margin: 0 0 1rem; } img { max-width: 100%; height: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .86rem; color: #4a5663; }
dt { font-weight: 600; } dd { margin: 0; }
"""


def page(found: Mapping[str, Any], tables: Sequence[Table], pictures: Sequence[tuple[str, Path]]) -> str:
    """Return the page's text."""
    parts = ["<!doctype html>", '<html lang="en"><head><meta charset="utf-8">']
    parts += ['<meta name="viewport" content="width=device-width">', "<title>Pilotlight, measured</title>"]
    parts += [f"<style>{_STYLE}</style></head><body>", "<h1>Pilotlight beside the usual alternatives</h1>"]
    parts += [f"<p>Measured {escape(found['written'])}. Ratios travel, milliseconds do not.</p>", _machine(found)]
    first, *others = tables
    parts.append(_table(first))
    for name in ("aws", "google", "large", "warm", "records", "batch"):
        parts += [_picture(title, file) for title, file in pictures if file.name.startswith(name)]
        parts += [_table(table) for table in others if table.name.startswith(name)]
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _machine(found: Mapping[str, Any]) -> str:
    versions = {
        name: version
        for part in ("aws", "google")
        if part in found
        for name, version in found[part]["versions"].items()
    }
    said = {**found["machine"], **versions}
    rows = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in said.items())
    return f"<details><summary>The machine and the versions</summary><dl>{rows}</dl></details>"


def _picture(title: str, file: Path) -> str:
    content = base64.b64encode(file.read_bytes()).decode()
    image = f'<img alt="{escape(title)}" src="data:image/png;base64,{content}">'
    return f"<h2>{escape(title)}</h2><figure>{image}</figure>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(header)}</th>" for header in table.headers)
    rows = "".join(_row(row) for row in table.rows)
    body = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<h2>{escape(table.title)}</h2><p>{escape(table.note)}</p>{body}"


def _row(cells: Sequence[str]) -> str:
    marks = {"yes": ' class="yes"', "no": ' class="no"'}
    inner = "".join(f"<td{marks.get(cell, '')}>{escape(cell)}</td>" for cell in cells)
    ours = ' class="ours"' if cells[0].startswith("Pilotlight") else ""
    return f"<tr{ours}>{inner}</tr>"
