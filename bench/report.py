"""What a run came to: tables on the terminal, and a report of HTML and pictures beside the results."""

from __future__ import annotations

from pathlib import Path

from page import page
from pilotlight_cli import console
from plots import draw
from results import read
from summary import summary
from tables import tables


def report(folder: Path) -> Path:
    """Make the report of the results in a folder, and print its tables. The report's file."""
    found = summary(read(folder))
    made = tables(found)
    for table in made:
        console.output().print(f"\n{table.title}\n", soft_wrap=True)
        console.output().print(console.table(table.headers, table.rows, right=table.headers[1:]))
        console.output().print(f"\n{table.note}", soft_wrap=True)
    file = folder / "report.html"
    file.write_text(page(found, made, draw(found, folder)))
    console.output().print(f"\nEvery round is in {folder}, the report in {file}.", soft_wrap=True)
    return file
