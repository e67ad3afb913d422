"""The examples of each page, run from its top to its bottom in one shell, as a reader would."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from docs import pages
from docs.pages import OF_PROJECT, PAGES
from docs.session import beside_a_model, clone, opened
from torch_builds import require_cpu_build

RUN = ("console", "sh", "python")
WITH_EXAMPLES = [page for page in PAGES if any(block.language in RUN for block in pages.blocks(page, pages.read(page)))]


@pytest.mark.parametrize("page", WITH_EXAMPLES)
def test_the_examples_of_a_page_do_what_it_says(page: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine: the examples in the pages were not run")
    if any(block.kind == "needs" and "torch" in block.note for block in pages.blocks(page, pages.read(page))):
        require_cpu_build()
    with opened((beside_a_model if page in OF_PROJECT else clone)(tmp_path)) as session:
        for block in pages.blocks(page, pages.read(page)):
            if block.kind != "not run":
                session.run(block)
