"""The rules as CloudFormation understands them, and that the checks see every combination which they allow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight_cli.assets import ROOT
from templates import BOOTSTRAP, STREAMS, TEMPLATE

# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-rules.html
ALLOWED = {"Fn::And", "Fn::Equals", "Fn::Not", "Fn::Or", "Ref"}


def functions(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield key, value
            yield from functions(value)
    elif isinstance(node, list):
        for item in node:
            yield from functions(item)


@pytest.mark.parametrize("template", [TEMPLATE, BOOTSTRAP], ids=["template", "bootstrap"])
def test_rules_speak_of_parameters_by_the_functions_that_rules_have(template: dict[str, Any]) -> None:
    for rule in template["Rules"].values():
        for part in (rule["RuleCondition"], *(assertion["Assert"] for assertion in rule["Assertions"])):
            used = list(functions(part))
            assert {name for name, _ in used} <= ALLOWED
            assert {value for name, value in used if name == "Ref"} <= template["Parameters"].keys()


@pytest.mark.parametrize("template", [TEMPLATE, BOOTSTRAP], ids=["template", "bootstrap"])
def test_every_rule_and_parameter_says_in_a_sentence_what_it_wants(template: dict[str, Any]) -> None:
    sentences = [entry["Description"] for entry in template["Parameters"].values()]
    sentences += [line["AssertDescription"] for rule in template["Rules"].values() for line in rule["Assertions"]]
    assert all(sentence.endswith(".") and " " in sentence for sentence in sentences)
    assert all(
        "ConstraintDescription" in entry for entry in template["Parameters"].values() if "AllowedPattern" in entry
    )


@pytest.mark.parametrize("template", [TEMPLATE, BOOTSTRAP], ids=["template", "bootstrap"])
def test_the_console_shows_every_parameter_in_a_group(template: dict[str, Any]) -> None:
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(template["Parameters"])


def test_the_checks_of_the_translation_see_every_resource(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "tools/translate.py", str(tmp_path)], cwd=ROOT, check=True)
    documents = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    plain = documents.pop("translated")
    seen = {name for document in documents.values() for name in document["Resources"]}
    assert seen >= {name for name in plain["Resources"] if not name.startswith("PredictFunctionVersion")}
    assert seen >= STREAMS["Resources"].keys()
    outer = {"on-demand-iam", "provisioned-jwt", "snapstart-api-key", "open-to-everyone"}
    assert {name for name in documents if not name.startswith("streams-")} == outer
