"""The templates in the recipes for AWS: cfn-lint takes each, and what they name of the stack is there."""

from __future__ import annotations

import ast
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
    own = {"Target", "UnknownEvents", "Environment", "TheirManagedPolicies", "Project"}
    assert named - policies - own <= {*TEMPLATE["Parameters"], *TEMPLATE["Resources"], *TEMPLATE["Outputs"]}


def test_other_tools_deploy_the_function_with_its_handler_and_runtime() -> None:
    handler = TEMPLATE["Resources"]["PredictFunction"]["Properties"]["Handler"]
    runtime = TEMPLATE["Globals"]["Function"]["Runtime"]
    assert f'CMD ["{handler}"]' in (ROOT / "functions/aws/container/Dockerfile").read_text()
    assert f"runtime `{runtime}`" in TEXT
    terraform, cdk = (block_in(language).text for language in ("hcl", "python"))
    assert re.findall(r"(?:handler|runtime) += \"(.*)\"", terraform) == [handler, runtime]
    called = {
        word.arg: ast.unparse(word.value)
        for node in ast.walk(ast.parse(cdk))
        if isinstance(node, ast.Call)
        for word in node.keywords
    }
    assert (called["handler"], called["runtime"]) == (repr(handler), f"aws_lambda.Runtime.{constant(runtime)}")


def constant(runtime: str) -> str:
    """Return a runtime's name in CDK."""
    return runtime.upper().replace("PYTHON", "PYTHON_").replace(".", "_")


def block_in(language: str) -> Block:
    (block,) = [block for block in pages.blocks(PAGE, TEXT) if block.language == language]
    return block
