"""What the commands' options share."""

from __future__ import annotations

import pytest

from pilotlight_cli.commands.options import in_ci


@pytest.mark.parametrize(
    ("value", "agrees"),
    [("true", True), ("1", True), ("woodpecker", True)]
    + [(no, False) for no in ("", "false", "False", "FALSE", "0", "no", "off")],
)
def test_ci_agrees_unless_it_says_no(value: str, agrees: bool) -> None:
    assert in_ci({"CI": value}) is agrees
    assert not in_ci({})
