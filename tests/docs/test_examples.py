"""The examples of each page, run from its top to its bottom in one shell, as a reader would."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import pages
from docs.pages import PAGES
from docs.session import Session, opened
from pilotlight_cli.project import PROJECT
from pilotlight_cli.requirements import pins

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
    notice = (PROJECT / "NOTICE").read_text().lower()
    for lock in session.folder.rglob("requirements.lock"):
        if "functions" not in lock.parts:
            unnamed = [name for name in pins(lock.read_text()) if not re.search(rf"\b{re.escape(name)}\b", notice)]
            assert not unnamed, f"{page} pins what NOTICE does not name: {unnamed}"


def test_notice_names_what_is_redistributed_and_what_google_cloud_installs_besides() -> None:
    notice = (PROJECT / "NOTICE").read_text()
    assert "examples/breast-cancer/" in notice
    for name in (PROJECT / "functions/gcp/predict/requirements.in").read_text().split():
        assert name in notice
