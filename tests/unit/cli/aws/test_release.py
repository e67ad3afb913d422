"""The release digest: any one thing that shapes the function, changed alone, is another release; nothing else is."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws.release import digest_of_build, release_digest
from pilotlight_cli.aws.template import TemplateError, effective_values
from templates import SHAPING, SOURCES, STREAMS, TEMPLATE, of_type, released

NOTHING: Mapping[str, str] = MappingProxyType({})

# Parameters of what stands around the function: its alias, its deployments, the API, the alarms, the roles.
AROUND = {
    "RecordsSource": "create",
    "RecordsResults": "s3://results",
    "RecordsObjects": "s3://rows",
    "RecordsBatchSize": "5",
    "RecordsWindowSeconds": "5",
    "RecordsConcurrency": "5",
    "RecordsFilter": "{}",
    "RecordsStart": "LATEST",
    "RecordsDelaySeconds": "60",
    "KafkaTopic": "rows",
    "KafkaSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:kafka",
    "KafkaAuthentication": "BASIC_AUTH",
    "MaxProvisioned": "9",
    "MinProvisioned": "3",
    "DeploymentType": "AllAtOnce",
    "ReleaseDigest": "0" * 64,
    "StoreKeyArn": "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000",
    "FormerStoreUrl": "s3://former/models",
    "FormerStoreKeyArn": "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000",
    "Authorization": "open-to-everyone",
    "CorsOrigins": "https://example.com",
    "ThrottleRate": "7",
    "ThrottleBurst": "7",
    "ServerErrorsThreshold": "7",
    "LatencyBudgetMs": "70",
    "OutOfRangeThreshold": "7",
    "ManagedPolicies": "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess",
    "ReservedConcurrency": "7",
    "FailureDestinationArn": "arn:aws:sqs:us-east-1:123456789012:failed",
    "DisableDefaultEndpoint": "true",
    "SilenceHours": "7",
    "LogRetentionDays": "7",
    "AlarmEmail": "someone@example.com",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:topic",
    "PermissionsBoundary": "arn:aws:iam::123456789012:policy/boundary",
    "ApiKeysPath": "/team/keys",
    "JwtIssuer": "https://issuer.example.com/",
    "JwtAudience": "models",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder that stands for a built package."""
    for name in ("handler.py", "model.lock", "pilotlight/boot.py", "pilotlight/__pycache__/boot.cpython-313.pyc"):
        file = tmp_path / "package" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {name}")
    return tmp_path / "package"


def digest(package: Path, given: Mapping[str, str] = NOTHING, template: dict[str, Any] = TEMPLATE) -> str:
    return release_digest(template, package, effective_values(template, given))


def version(package: Path, **given: str) -> str:
    """Return the logical id of the version that CloudFormation is asked for."""
    resources = released(**given, ReleaseDigest=digest(package, given))
    (found,) = of_type(resources, "AWS::Lambda::Version")
    return found


def test_every_parameter_either_shapes_the_function_or_stands_around_it() -> None:
    assert SHAPING.keys() | AROUND.keys() == TEMPLATE["Parameters"].keys()
    assert not SHAPING.keys() & AROUND.keys()


@pytest.mark.parametrize(("parameter", "value"), SHAPING.items())
def test_a_setting_that_shapes_the_function_changed_alone_publishes_a_version(
    package: Path, parameter: str, value: str
) -> None:
    given = {parameter: value}
    assert digest(package, given) != digest(package)
    assert version(package, **given) != version(package)


@pytest.mark.parametrize(("parameter", "value"), AROUND.items())
def test_a_setting_of_what_stands_around_the_function_publishes_none(package: Path, parameter: str, value: str) -> None:
    assert digest(package, {parameter: value}) == digest(package)


def test_provisioned_is_another_start_mode_though_the_function_is_made_alike(package: Path) -> None:
    assert len({version(package, StartMode=mode) for mode in ("on-demand", "provisioned", "snapstart")}) == 3


def test_the_number_of_instances_that_are_kept_ready_alone_publishes_no_version(package: Path) -> None:
    sizes = [version(package, StartMode="provisioned", MaxProvisioned=size) for size in ("2", "3")]
    assert sizes[0] == sizes[1]


def test_a_value_that_is_given_is_as_good_as_the_same_by_default(package: Path) -> None:
    assert digest(package, {"MemorySize": "1769", "Tracing": "false"}) == digest(package)


@pytest.mark.parametrize("name", ["handler.py", "model.lock", "pilotlight/__pycache__/boot.cpython-313.pyc"])
def test_a_file_changed_alone_publishes_a_version(package: Path, name: str) -> None:
    before = version(package)
    (package / name).write_text("something else")
    assert version(package) != before


def test_a_file_that_moves_comes_or_goes_is_a_change(package: Path) -> None:
    found = {digest(package)}
    (package / "handler.py").rename(package / "renamed.py")
    found.add(digest(package))
    (package / "renamed.py").unlink()
    found.add(digest(package))
    (package / "empty.py").touch()
    assert len(found | {digest(package)}) == 4


def test_where_a_package_lies_and_how_old_it_is_does_not_count(package: Path, tmp_path: Path) -> None:
    before = digest(package)
    moved = package.rename(tmp_path / "elsewhere")
    (moved / "handler.py").touch()
    assert digest(moved) == before


def function(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]["PredictFunction"]["Properties"]
    return found


@pytest.mark.parametrize("name", ["Handler", "Timeout", "Role", "Layers", "VpcConfig"])
def test_a_property_that_is_written_otherwise_in_the_template_is_a_change(package: Path, name: str) -> None:
    changed = copy.deepcopy(TEMPLATE)
    function(changed)[name] = "other"
    assert digest(package, template=changed) != digest(package)


def test_a_property_of_all_functions_and_the_condition_of_one_are_changes_too(package: Path) -> None:
    runtime, condition = copy.deepcopy(TEMPLATE), copy.deepcopy(TEMPLATE)
    runtime["Globals"]["Function"]["Runtime"] = "python3.14"
    condition["Conditions"]["IsTraced"] = {"Fn::Equals": [{"Ref": "LogLevel"}, "DEBUG"]}
    assert len({digest(package, template=template) for template in (TEMPLATE, runtime, condition)}) == 3


@pytest.mark.parametrize("name", ["CodeUri", "DeploymentPreference", "ProvisionedConcurrencyConfig", "Tags", "Events"])
def test_a_property_that_no_version_has_is_no_change(package: Path, name: str) -> None:
    changed = copy.deepcopy(TEMPLATE)
    function(changed)[name] = "other"
    assert digest(package, template=changed) == digest(package)


def test_other_resources_are_no_change(package: Path) -> None:
    changed = copy.deepcopy(TEMPLATE)
    del changed["Resources"]["Monitoring"], changed["Outputs"]
    assert digest(package, template=changed) == digest(package)


def test_a_parameter_that_is_reached_through_a_text_counts(package: Path) -> None:
    changed = copy.deepcopy(TEMPLATE)
    function(changed)["Description"] = {"Fn::Sub": "for ${ThrottleRate} ${!LogRetentionDays} ${PredictRole.Arn}"}
    assert digest(package, {"ThrottleRate": "7"}, changed) != digest(package, template=changed)
    assert digest(package, {"LogRetentionDays": "7"}, changed) == digest(package, template=changed)


def test_a_template_without_the_function_is_refused(package: Path) -> None:
    with pytest.raises(TemplateError, match="the template has no resource PredictFunction"):
        release_digest({"Resources": {}}, package, {})


# Each parameter that shapes the function for records, with another value.
OF_RECORDS = {name: value for name, value in SHAPING.items() if name in STREAMS["Parameters"]} | {
    "StoreUrl": "s3://elsewhere/models",
    "RecordsResults": "s3://elsewhere",
}


@pytest.fixture
def built(package: Path) -> Path:
    """Return a build with the packages of both functions."""
    folder = package.with_name("build")
    shutil.copytree(package, folder / "PredictFunction")
    shutil.copytree(package, folder / "Streams" / "RecordsFunction")
    return folder


def of_build(built: Path, **given: str) -> str:
    return digest_of_build(TEMPLATE, ROOT, built, effective_values(TEMPLATE, {**SOURCES["create"], **given}))


def test_without_a_source_the_function_for_records_is_no_part_of_a_release(built: Path) -> None:
    values = effective_values(TEMPLATE, {})
    assert digest_of_build(TEMPLATE, ROOT, built, values) == release_digest(TEMPLATE, built / "PredictFunction", values)


@pytest.mark.parametrize(("parameter", "value"), OF_RECORDS.items())
def test_a_setting_of_the_function_for_records_makes_a_release(parameter: str, value: str, built: Path) -> None:
    assert of_build(built, **{parameter: value}) != of_build(built)


def test_its_own_code_makes_a_release_and_what_surrounds_it_does_not(built: Path) -> None:
    before = of_build(built)
    around = {"RecordsBatchSize": "5", "RecordsFilter": "{}", "RecordsDelaySeconds": "60", "ReleaseDigest": "1" * 64}
    assert of_build(built, **around) == before
    (built / "Streams/RecordsFunction/handler.py").write_text("# another")
    assert of_build(built) != before
