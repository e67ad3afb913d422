"""The examples for Terraform: it parses each, and they deploy what the command deploys."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from docs import pages
from pilotlight_cli.gcp.functions import BUILD, ENTRY_POINT, RUNTIME

EXAMPLES = {
    page: [block for block in pages.blocks(page, pages.read(page)) if block.language == "hcl"]
    for page in ("docs/guides/recipes-for-aws.md", "docs/guides/deploy-to-google-cloud.md")
}


@pytest.mark.skipif(not shutil.which("terraform"), reason="NO TERRAFORM HERE: nothing parsed the examples for it")
@pytest.mark.parametrize("page", EXAMPLES)
def test_terraform_parses_an_example_and_would_write_it_alike(page: str, tmp_path: Path) -> None:
    (block,) = EXAMPLES[page]
    file = tmp_path / "main.tf"
    file.write_text(block.text)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    command = ["terraform", "fmt", "-check", "-diff", str(file)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_for_google_cloud_builds_what_the_command_builds() -> None:
    (block,) = EXAMPLES["docs/guides/deploy-to-google-cloud.md"]
    set_to = dict(re.findall(r'(\w+) += "(.*?)"', block.text))
    assert (set_to["runtime"], set_to["entry_point"]) == (RUNTIME, ENTRY_POINT)
    assert [f'{name} = "{value}"' in block.text for name, value in BUILD.items()] == [True]
