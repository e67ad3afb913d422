"""Markdown of texts from an untrusted store: names, labels, reasons."""

from __future__ import annotations

from collections.abc import Sequence

_LENGTH = 60  # characters of a name


def code(text: str, most: int = _LENGTH) -> str:
    """Return a text as code in Markdown, on one line of at most `most` characters."""
    shown = text if len(text) <= most else text[: most - 3] + "..."
    escapes = {"`": "\\x60", "|": "\\x7c", "\\": "\\\\"}
    return "`{}`".format(
        "".join(
            escapes.get(character, character if character.isprintable() else ascii(character)[1:-1])
            for character in shown
        )
    )


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; the cells are Markdown already."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" if any(line) else f"|{' |' * len(line)}" for line in lines)
