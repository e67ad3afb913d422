from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pilotlight.errors import SettingsError
from pilotlight.settings import SETTINGS, Setting, Settings, read_settings
from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws.template import load_template

FOLDER = Path("/package")
STORE = {"PILOTLIGHT_STORE": "s3://bucket/models/"}
STACK = load_template(ROOT / "template.yaml")


def test_only_the_store_has_no_default() -> None:
    assert read_settings({**STORE, "HOME": "/root"}, FOLDER) == Settings(
        store="s3://bucket/models",
        lock=Path("/package/model.lock"),
        log_level="INFO",
        metrics_namespace="Pilotlight",
        max_body_bytes=4_500_000,
        threads=1,
    )


@pytest.mark.parametrize(
    ("given", "threads"), [({}, 4), ({"PILOTLIGHT_THREADS": ""}, 4), ({"PILOTLIGHT_THREADS": "2"}, 2)]
)
def test_a_prediction_uses_the_machines_processors_unless_it_is_told_otherwise(
    given: dict[str, str], threads: int
) -> None:
    assert read_settings({**STORE, **given}, FOLDER, processors=4).threads == threads


def test_each_setting_can_be_given() -> None:
    given = {
        "LOCK": "other.lock",
        "LOG_LEVEL": "ERROR",
        "METRICS_NAMESPACE": "Mine",
        "MAX_BODY_BYTES": "9",
        "THREADS": "2",
        "RELEASE": "0f" * 32,
        "CORS_ORIGINS": "https://a.example,http://b.example:8080",
        "INPUT_PREFIXES": "s3://inputs/,gs://inputs/mine/",
    }
    settings = read_settings({**STORE, **{f"PILOTLIGHT_{name}": value for name, value in given.items()}}, FOLDER)
    origins = ("https://a.example", "http://b.example:8080")
    prefixes = ("s3://inputs/", "gs://inputs/mine/")
    lock = Path("/package/other.lock")
    assert settings == Settings("s3://bucket/models", lock, "ERROR", "Mine", 9, 2, "0f" * 32, origins, "", prefixes)


def test_the_lock_may_lie_elsewhere() -> None:
    assert read_settings({**STORE, "PILOTLIGHT_LOCK": "/etc/model.lock"}, FOLDER).lock == Path("/etc/model.lock")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("STORE", "", "PILOTLIGHT_STORE is ''; expected the model store's URL"),
        ("STORE", "https://bucket", "PILOTLIGHT_STORE is 'https://bucket'; expected"),
        ("STORE", "s3://", "PILOTLIGHT_STORE is 's3://'; expected"),
        ("LOG_LEVEL", "info", "PILOTLIGHT_LOG_LEVEL is 'info'; expected one of DEBUG, INFO, WARNING, ERROR"),
        ("THREADS", "0", "PILOTLIGHT_THREADS is '0'; expected a whole number of at least 1"),
        ("THREADS", "two", "PILOTLIGHT_THREADS is 'two'; expected"),
        ("MAX_BODY_BYTES", "-1", "PILOTLIGHT_MAX_BODY_BYTES is '-1'; expected"),
        ("MAX_BODY_BYTES", "٣", "PILOTLIGHT_MAX_BODY_BYTES is '٣'; expected"),
        ("STORE", "s3:///models", "PILOTLIGHT_STORE is 's3:///models'; expected"),
        ("THREADS", "9" * 5000, "PILOTLIGHT_THREADS is '999"),
        ("METRICS_NAMESPACE", "", "PILOTLIGHT_METRICS_NAMESPACE is ''; expected up to 255"),
        ("METRICS_NAMESPACE", "AWS/Lambda", "PILOTLIGHT_METRICS_NAMESPACE is 'AWS/Lambda'; expected"),
        ("RELEASE", "0f" * 20, "PILOTLIGHT_RELEASE is '0f0f"),
        ("RELEASE", "0F" * 32, "PILOTLIGHT_RELEASE is '0F0F"),
        ("RELEASE", "0f" * 32 + "\n", "PILOTLIGHT_RELEASE is '0f0f"),
        ("CORS_ORIGINS", "example.com", "PILOTLIGHT_CORS_ORIGINS is 'example.com'; expected origins"),
        ("CORS_ORIGINS", "https://a.example/", "PILOTLIGHT_CORS_ORIGINS is 'https://a.example/'; expected"),
        ("CORS_ORIGINS", "https://a.example, *", "PILOTLIGHT_CORS_ORIGINS is"),
        ("BASE_PATH", "models", "PILOTLIGHT_BASE_PATH is 'models'; expected a path like /models/fraud without"),
        ("BASE_PATH", "/", "PILOTLIGHT_BASE_PATH is '/'; expected"),
        ("BASE_PATH", "/a//b", "PILOTLIGHT_BASE_PATH is '/a//b'; expected"),
        (
            "RESULTS",
            "sqs://queue",
            "PILOTLIGHT_RESULTS is 'sqs://queue'; expected s3://bucket/prefix, or the ARN of an",
        ),
        ("RESULTS", "projects/p/rows", "PILOTLIGHT_RESULTS is 'projects/p/rows'; expected s3://bucket/prefix, or the"),
        ("FAILURES", "dlq", "PILOTLIGHT_FAILURES is 'dlq'; expected s3://bucket/prefix, or the ARN of an"),
        (
            "INPUT_PREFIXES",
            "s3://inputs/a",
            "PILOTLIGHT_INPUT_PREFIXES is 's3://inputs/a'; expected prefixes like s3://",
        ),
        ("INPUT_PREFIXES", "s3:///", "PILOTLIGHT_INPUT_PREFIXES is 's3:///'; expected"),
        ("INPUT_PREFIXES", "s3://a/, s3://b/", "PILOTLIGHT_INPUT_PREFIXES is 's3://a/, s3://b/'; expected"),
        ("INPUT_PREFIXES", "file:///inputs/", "PILOTLIGHT_INPUT_PREFIXES is 'file:///inputs/'; expected"),
        ("REST_API_BINARY", "yes", "PILOTLIGHT_REST_API_BINARY is 'yes'; expected true or false"),
        (
            "STOER",
            "s3://bucket",
            "unknown setting PILOTLIGHT_STOER, expected one of PILOTLIGHT_STORE, PILOTLIGHT_LOCK, ",
        ),
    ],
)
def test_a_wrong_setting_is_named_at_the_start(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({**STORE, f"PILOTLIGHT_{name}": value}, FOLDER)
    assert str(caught.value).startswith(message)


def test_failures_have_a_place_of_their_own() -> None:
    places = {"PILOTLIGHT_RESULTS": "s3://a/b", "PILOTLIGHT_FAILURES": "s3://a/b/"}
    with pytest.raises(SettingsError, match=r"PILOTLIGHT_FAILURES is PILOTLIGHT_RESULTS too; expected a place of its"):
        read_settings({**STORE, **places}, FOLDER)
    assert read_settings({**STORE, **places, "PILOTLIGHT_RESULTS": "s3://a/c"}, FOLDER).failures == "s3://a/b/"


def test_the_table_has_a_row_for_each_field() -> None:
    of_aws_alone = {"rest_api_binary"}  # its folder reads it
    assert {setting.name.lower() for setting in SETTINGS} == {*Settings.__slots__, *of_aws_alone}


def variables_of_the_stack() -> dict[str, Any]:
    """Return the function's variables in template.yaml, without other programs'."""
    found: dict[str, Any] = STACK["Resources"]["PredictFunction"]["Properties"]["Environment"]["Variables"]
    return {name: value for name, value in found.items() if name.startswith("PILOTLIGHT_")}


def test_the_stack_sets_the_variables_that_have_a_parameter() -> None:
    assert variables_of_the_stack().keys() == {setting.variable for setting in SETTINGS if setting.parameter}


@pytest.mark.parametrize("setting", [setting for setting in SETTINGS if setting.parameter], ids=lambda row: row.name)
def test_a_parameter_of_the_stack_has_the_settings_default_and_sets_its_variable(setting: Setting) -> None:
    assert f"{{'Ref': '{setting.parameter}'}}" in str(variables_of_the_stack()[setting.variable])
    assert str(STACK["Parameters"][setting.parameter]["Default"]) == setting.default
