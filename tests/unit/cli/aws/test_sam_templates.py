"""Templates as files: what is read, worked out and refused before anything is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from intrinsics import Scope, is_true, resolve
from pilotlight_cli.aws.template import TemplateError, effective_values, load_template, refusals
from translation import deployed, translate

PARAMETERS = {
    "Size": {"Type": "Number", "Default": 2, "MinValue": 1, "MaxValue": 10},
    "Mode": {"Type": "String", "Default": "slow", "AllowedValues": ["slow", "fast"]},
    "Name": {"Type": "String", "AllowedPattern": "^[a-z]+$", "ConstraintDescription": "must be small letters."},
}
TEMPLATE: dict[str, Any] = {
    "Parameters": PARAMETERS,
    "Rules": {
        "FastIsSmall": {
            "RuleCondition": {"Fn::Equals": [{"Ref": "Mode"}, "fast"]},
            "Assertions": [
                {"Assert": {"Fn::Equals": [{"Ref": "Size"}, "1"]}, "AssertDescription": "Mode fast needs Size 1."}
            ],
        }
    },
    "Resources": {},
}
SCOPE = Scope({"Mode": "fast", "Size": "3"}, {"IsFast": {"Fn::Equals": [{"Ref": "Mode"}, "fast"]}})


def read(folder: Path, text: str) -> Any:
    path = folder / "template.yaml"
    path.write_text(text)
    return load_template(path)


def test_short_forms_are_written_out(tmp_path: Path) -> None:
    short = "{Type: T, B: !Ref C, D: !GetAtt E.F.G, H: !If [I, !Sub '${J}', !Ref K], L: !Not [!Condition M]}"
    found = read(tmp_path, f"Resources:\n  A: {short}\n")
    assert found["Resources"]["A"] == {
        "Type": "T",
        "B": {"Ref": "C"},
        "D": {"Fn::GetAtt": ["E", "F.G"]},
        "H": {"Fn::If": ["I", {"Fn::Sub": "${J}"}, {"Ref": "K"}]},
        "L": {"Fn::Not": [{"Condition": "M"}]},
    }


@pytest.mark.parametrize(
    "text", ["Resources: [", "Parameters: {}", "just text", "Resources: {A: !!python/name:os.system x}"]
)
def test_what_is_no_template_is_refused_by_its_path(tmp_path: Path, text: str) -> None:
    with pytest.raises(TemplateError, match="template.yaml"):
        read(tmp_path, text)


def test_a_template_that_is_not_there_is_refused_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="missing.yaml"):
        load_template(tmp_path / "missing.yaml")


def test_a_parameter_has_the_value_given_or_its_default() -> None:
    assert effective_values(TEMPLATE, {"Name": "a", "Mode": "fast"}) == {"Size": "2", "Mode": "fast", "Name": "a"}


def test_unknown_and_missing_parameters_are_named() -> None:
    with pytest.raises(TemplateError, match="no parameter Nmae; it has Size, Mode, Name"):
        effective_values(TEMPLATE, {"Nmae": "a"})
    with pytest.raises(TemplateError, match="parameter Name needs a value"):
        effective_values(TEMPLATE, {})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"Size": "11"}, "Size is 11; expected 1 to 10"),
        ({"Size": "many"}, "Size is 'many'; expected a number"),
        ({"Mode": "Fast"}, "Mode is 'Fast'; expected one of slow, fast"),
        ({"Name": "a b"}, "Name is 'a b'; it must be small letters."),
        ({"Mode": "fast"}, "Mode fast needs Size 1."),
    ],
)
def test_what_cloudformation_would_refuse_is_said_before(given: dict[str, str], sentence: str) -> None:
    assert refusals(TEMPLATE, effective_values(TEMPLATE, {"Name": "a", **given})) == [sentence]


def test_a_rule_applies_under_its_condition_alone() -> None:
    assert refusals(TEMPLATE, effective_values(TEMPLATE, {"Name": "a", "Size": "5"})) == []


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"Ref": "Size"}, "3"),
        ({"Ref": "Bucket"}, {"Ref": "Bucket"}),
        ({"Fn::If": ["IsFast", "a", "b"]}, "a"),
        ([{"Fn::If": ["IsFast", {"Ref": "AWS::NoValue"}, "b"]}, "c"], ["c"]),
        ({"A": {"Ref": "AWS::NoValue"}, "B": 1}, {"B": 1}),
        ({"Fn::Sub": "${Size} and ${!Size}"}, "3 and ${Size}"),
        ({"Fn::Sub": "${Size} of ${Bucket.Arn}"}, {"Fn::Sub": "3 of ${Bucket.Arn}"}),
        ({"Fn::Sub": ["${A}-${Size}", {"A": {"Ref": "Mode"}}]}, "fast-3"),
        ({"Fn::Sub": ["${A}", {"A": {"Ref": "Bucket"}}]}, {"Fn::Sub": ["${A}", {"A": {"Ref": "Bucket"}}]}),
        ({"Fn::Join": ["-", ["a", {"Ref": "Mode"}]]}, "a-fast"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Bucket"}]]}, {"Fn::Join": ["-", ["a", {"Ref": "Bucket"}]]}),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::Select": [0, {"Ref": "List"}]}, {"Fn::Select": [0, {"Ref": "List"}]}),
    ],
)
def test_functions_are_worked_out_as_far_as_names_are_known(node: Any, expected: Any) -> None:
    assert resolve(node, SCOPE) == expected


def test_an_item_that_is_not_there_is_refused() -> None:
    with pytest.raises(TemplateError, match="index 1 is out of range"):
        resolve({"Fn::Select": [1, ["a"]]}, SCOPE)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("IsFast", True),
        ({"Condition": "IsFast"}, True),
        ({"Fn::Not": [{"Condition": "IsFast"}]}, False),
        ({"Fn::And": [{"Condition": "IsFast"}, {"Fn::Equals": [{"Ref": "Size"}, 4]}]}, False),
        ({"Fn::Or": [{"Condition": "IsFast"}, {"Fn::Equals": [{"Ref": "Size"}, 4]}]}, True),
        ({"Fn::Equals": [{"Ref": "Size"}, 3]}, True),
    ],
)
def test_conditions_hold_or_do_not(condition: Any, expected: bool) -> None:
    assert is_true(condition, SCOPE) is expected


@pytest.mark.parametrize("condition", ["IsSlow", {"Fn::Maybe": []}])
def test_what_is_no_condition_is_refused(condition: Any) -> None:
    with pytest.raises(TemplateError, match="condition"):
        is_true(condition, SCOPE)


def test_resources_whose_condition_fails_are_not_made() -> None:
    template = {
        "Parameters": PARAMETERS,
        "Conditions": {"IsFast": {"Fn::Equals": [{"Ref": "Mode"}, "fast"]}},
        "Resources": {
            "Fast": {"Type": "T", "Condition": "IsFast", "Properties": {"Where": {"Ref": "AWS::Region"}}},
            "Always": {"Type": "T"},
        },
    }
    assert deployed(template, {"Name": "a"})["Resources"] == {"Always": {"Type": "T"}}
    assert deployed(template, {"Name": "a", "Mode": "fast"})["Resources"] == {
        "Fast": {"Type": "T", "Properties": {"Where": "us-east-1"}},
        "Always": {"Type": "T"},
    }


def test_what_sam_refuses_is_said() -> None:
    function = {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "a.b"}}
    with pytest.raises(TemplateError, match="cannot be translated: .*Runtime"):
        translate({"Transform": "AWS::Serverless-2016-10-31", "Resources": {"Function": function}}, {})


def test_a_translation_leaves_the_template_as_it_was() -> None:
    function = {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "a.b", "Runtime": "python3.13"}}
    template = {"Transform": "AWS::Serverless-2016-10-31", "Resources": {"Function": function}}
    translated = translate(template, {}, {"Function": "s3://packages/one"})
    assert translated["Resources"]["Function"]["Properties"]["Code"] == {"S3Bucket": "packages", "S3Key": "one"}
    assert function["Properties"] == {"Handler": "a.b", "Runtime": "python3.13"}
