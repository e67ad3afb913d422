"""The examples of each page, run from its top to its bottom in one shell, as a reader would."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import pages
from docs.pages import PAGES
from docs.session import Session, opened

RUN = ("console", "sh", "python")
WITH_EXAMPLES = [page for page in PAGES if any(block.language in RUN for block in pages.blocks(page, pages.read(page)))]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine: the examples in the pages were not run")
    with opened(tmp_path) as found:
        yield found


@pytest.mark.parametrize("page", WITH_EXAMPLES)
def test_the_examples_of_a_page_do_what_it_says(page: str, session: Session) -> None:
    for block in pages.blocks(page, pages.read(page)):
        if block.kind != "not run":
            session.run(block)
