"""samconfig.toml, as a deployment reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click import BadParameter
from samcli.cli.types import CfnParameterOverridesType

from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws import AwsUsageError
from pilotlight_cli.aws.environments import Environment, SamConfigError, read_environment

CONFIG = """
version = 0.1
[dev.global.parameters]
stack_name = "models-dev"
[dev.deploy.parameters]
parameter_overrides = ["StartMode=on-demand", "CorsOrigins=", "JwtIssuer=https://example.com/?a=b"]
[prod.global.parameters]
stack_name = "models"
region = "eu-central-1"
[prod.deploy.parameters]
stack_name = "models-prod"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "samconfig.toml"
    path.write_text(CONFIG)
    return path


def test_an_environment_is_a_stack_and_the_values_of_its_parameters(file: Path) -> None:
    found = read_environment("dev", file)
    values = {"StartMode": "on-demand", "CorsOrigins": "", "JwtIssuer": "https://example.com/?a=b"}
    assert found == Environment("dev", "models-dev", "", values)


@pytest.mark.parametrize(
    "written", ['ReleaseDigest=""', "AlarmEmail='a b'", 'JwtAudience="a,b"', 'CorsOrigins="', "MemorySize=1"]
)
def test_quotes_around_a_value_are_read_as_sam_reads_them(written: str, tmp_path: Path) -> None:
    file = tmp_path / "samconfig.toml"
    overrides = json.dumps([written])
    file.write_text(f"[dev]\nglobal.parameters.stack_name = 'a'\ndeploy.parameters.parameter_overrides = {overrides}\n")
    try:
        read = CfnParameterOverridesType().convert((written,), None, None)
    except BadParameter:  # a quote that nothing ends: CloudFormation refuses such a value, and says so
        read = {"CorsOrigins": '"'}
    assert read_environment("dev", file).parameters == read


def test_what_a_command_is_told_goes_before_what_all_are_told(file: Path) -> None:
    assert read_environment("prod", file) == Environment("prod", "models-prod", "eu-central-1", {})


def test_the_projects_own_environments_can_be_read() -> None:
    for name in ("dev", "staging", "prod"):
        assert read_environment(name, ROOT / "samconfig.toml").stack == f"pilotlight-{name}"


def test_an_environment_that_is_not_there_is_wrong_usage_and_the_others_are_named(file: Path) -> None:
    with pytest.raises(AwsUsageError, match=r"samconfig.toml has no environment 'production'; it has dev, prod$"):
        read_environment("production", file)


@pytest.mark.parametrize("content", [b"[dev\n", b"\xff", b"a = " + b"9" * 5000, b"a = " + b"[" * 100_000])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "samconfig.toml").write_bytes(content)
    with pytest.raises(SamConfigError, match=r"samconfig\.toml: "):
        read_environment("dev", tmp_path / "samconfig.toml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SamConfigError, match=r"samconfig.toml: .*No such file"):
        read_environment("dev", tmp_path / "samconfig.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stack_name", "samconfig.toml: Expected '='"),
        ("[dev.global.parameters]", r"dev.deploy.parameters.stack_name: found nothing, expected a string"),
        ("dev = {global = 3}", r"dev.global: found 3, expected a table with parameters"),
        ("dev = {global.parameters.stack_name = 3}", r"stack_name: found 3, expected a string"),
        ("dev = {global.parameters.stack_name = '3'}", r"stack_name: found '3', expected at most 44 letters, digits"),
        (
            f"dev = {{global.parameters.stack_name = '{'s' * 45}'}}",
            rf"stack_name: found '{'s' * 45}', expected at most 44 letters",
        ),
        (
            "dev = {global.parameters = {stack_name = 'a', region = 1}}",
            r"parameters.region: found 1, expected a string",
        ),
    ],
)
def test_a_place_that_nothing_can_be_deployed_by_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "samconfig.toml"
    file.write_text(line)
    with pytest.raises(SamConfigError, match=message):
        read_environment("dev", file)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("'A=1 B=2'", r"parameter_overrides: found 'A=1 B=2', expected a list of \"Name=Value\""),
        ("['A=1', 'B']", r"parameter_overrides\[1\]: found 'B', expected \"Name=Value\""),
        ("[1]", r"parameter_overrides\[0\]: found 1, expected \"Name=Value\""),
        ("['A=1', 'A=2']", r"parameter_overrides\[1\]: found 'A=2', expected A only once"),
    ],
)
def test_parameters_and_tags_that_cannot_be_read_are_named(tmp_path: Path, overrides: str, message: str) -> None:
    file = tmp_path / "samconfig.toml"
    for key in ("parameter_overrides", "tags"):
        file.write_text(f"[dev]\nglobal.parameters.stack_name = 'a'\ndeploy.parameters.{key} = {overrides}\n")
        with pytest.raises(SamConfigError, match=message.replace("parameter_overrides", key)):
            read_environment("dev", file)


def test_tags_of_a_stack_are_read(tmp_path: Path) -> None:
    file = tmp_path / "samconfig.toml"
    file.write_text("[dev.deploy.parameters]\nstack_name = 'a'\ntags = ['cost:centre=12', 'team=blue = green']\n")
    assert read_environment("dev", file).tags == {"cost:centre": "12", "team": "blue = green"}
