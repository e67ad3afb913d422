"""Quotes the last run in the documentation: `make bench-publish`, or `python bench/publish.py`.

docs/reference/performance.json keeps what the files in bench/results come to; performance.md beside it has its tables
between comments, and performance/ its pictures. `--check` says whether the page is what the file makes of it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

from pilotlight_cli import console
from pilotlight_cli.assets import ROOT
from plots import draw
from results import FOLDER, read
from summary import summary
from tables import as_markdown, tables

PAGE = ROOT / "docs" / "reference" / "performance.md"

# Of all pictures those that the page shows.
PICTURES = ("aws-phases-all-warm", "aws-phases-all-cold", "aws-ratios", "large-phases-all-warm", "warm")

# Characters in a line of the page.
_WIDTH = 100

_BLOCK = re.compile(r"(<!-- bench: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(arguments: list[str], page: Path = PAGE, results: Path = FOLDER) -> None:
    """Take the results over and write the page, or check it."""
    parser = argparse.ArgumentParser(prog="bench/publish.py", description="Quote the last run in the documentation.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is not up to date")
    given = parser.parse_args(arguments)
    kept = page.with_suffix(".json")
    if given.check:
        if page.read_text() != written(page.read_text(), json.loads(kept.read_bytes())):
            sys.exit(f"{page} is not what {kept} makes of it; run 'make bench-publish'")
        return
    found = summary(read(results))
    folder = page.with_suffix("")
    for _, file in draw(found, results):
        if file.stem in PICTURES:
            folder.mkdir(exist_ok=True)
            (folder / file.name).write_bytes(file.read_bytes())
    kept.write_text(json.dumps(found, indent=1) + "\n")
    page.write_text(written(page.read_text(), found))
    console.say(f"{page.relative_to(ROOT)} quotes the run of {found['written']}")


def written(text: str, found: Mapping[str, Any]) -> str:
    """Return the page's text with every block made anew. Raises KeyError for a block that no run has."""
    made = {table.name: as_markdown(table) for table in tables(found)}
    made |= {"machine": machine(found), "missed": missed(found)}

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}{_wrapped(made.get(match['name'], NOT_MEASURED))}{match[3]}"

    return _BLOCK.sub(block, text)


def _wrapped(text: str) -> str:
    """Break the lines of a block like those of the page, except for tables."""
    lines = (line if line.startswith("|") else _wrap(line) for line in text.splitlines())
    return "\n".join(lines) + "\n"


def _wrap(line: str) -> str:
    indent = "  " if line.startswith("- ") else ""
    return fill(line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


NOT_MEASURED = "The last run did not measure this.\n"


def machine(found: Mapping[str, Any]) -> str:
    """On what it was measured, in a sentence."""
    on = found["machine"]
    processor = f"{on['cpus']} CPUs ({on['processor']}, {on['architecture']}, {on['system']})"
    return (
        f"Measured on {found['written'][:10]} with {processor} and Python {on['python']}. Cold file cache: "
        f"{on['file_cache']}. Quota: {on['quota']}.\n"
    )


def missed(found: Mapping[str, Any]) -> str:
    """Return what limits each target that was not reached."""
    lines = [
        f"- **{each['title']}**: {each['reached']['median']:.2f} where {each['limit']:g} is wanted. {each['bound']}"
        for each in found["targets"]
        if each["reached"] is not None and each["reached"]["median"] > each["limit"]
    ]
    return "\n".join(lines or ["Every target that was measured is reached."]) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
