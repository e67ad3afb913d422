"""The templates in the recipes for AWS: cfn-lint takes each, and what they name of the stack is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import pages
from docs.pages import Block
from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws.template import load_template

PAGE = "docs/guides/recipes-for-aws.md"
TEXT = pages.read(PAGE)
TEMPLATE = load_template(ROOT / "template.yaml")
TEMPLATES = [block for block in pages.blocks(PAGE, TEXT) if block.language == "yaml"]


@pytest.mark.parametrize("block", TEMPLATES, ids=lambda block: block.place)
def test_a_template_is_one_that_cloudformation_takes(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(block.text)
    command = [str(Path(sys.executable).with_name("cfn-lint")), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_recipes_name_what_the_stack_has() -> None:
    named = set(re.findall(r"`([A-Z][A-Za-z]+)(?:=[^`]*)?`", pages.prose(TEXT)))
    policies = {name for name in named if name.startswith(("CloudWatch", "AWSXRay"))}
    own = {"Target", "UnknownEvents", "Environment", "TheirManagedPolicies"}
    assert named - policies - own <= {*TEMPLATE["Parameters"], *TEMPLATE["Resources"], *TEMPLATE["Outputs"]}


def test_the_image_has_the_functions_own_handler() -> None:
    properties = TEMPLATE["Resources"]["PredictFunction"]["Properties"]
    assert f'CMD ["{properties["Handler"]}"]' in TEXT
    assert f"runtime `{TEMPLATE['Globals']['Function']['Runtime']}`" in TEXT
