from __future__ import annotations

import pytest

from pilotlight.model.json_document import first_duplicate


@pytest.mark.parametrize(
    ("names", "found"),
    [([], None), (["a", "b"], None), (["a", "b", "a", "b"], "a"), (["a", "b", "b", "a"], "b"), ([""] * 2, "")],
)
def test_the_first_name_that_comes_again_is_the_duplicate(names: list[str], found: str | None) -> None:
    assert first_duplicate(names) == found
