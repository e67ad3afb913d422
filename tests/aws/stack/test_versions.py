"""What makes a release: when a new version is published, and when none is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight.settings import read_settings
from templates import MODES, SHAPING, Resources, properties, released, stack, the

VERSION = "AWS::Lambda::Version"
DIGEST = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
KEY = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"


def version(resources: Resources) -> str:
    return the(resources, VERSION)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_mode_publishes_one_version_and_the_alias_points_to_it(mode: dict[str, str]) -> None:
    resources = stack(**mode)
    alias = properties(resources, the(resources, "AWS::Lambda::Alias"))
    assert alias["Name"] == "live"
    assert alias["FunctionName"] == {"Ref": "PredictFunction"}
    assert alias["FunctionVersion"] == {"Fn::GetAtt": [version(resources), "Version"]}


def test_old_versions_stay_so_that_traffic_can_go_back_to_them() -> None:
    resources = stack()
    assert resources[version(resources)]["DeletionPolicy"] == "Retain"


def test_nothing_changed_publishes_nothing() -> None:
    assert version(released(ReleaseDigest=DIGEST)) == version(released(ReleaseDigest=DIGEST))
    assert version(released()) == version(released())


def test_another_release_digest_alone_publishes_a_version() -> None:
    assert version(released(ReleaseDigest=DIGEST)) == "PredictFunctionVersion0123456789"
    assert version(released(ReleaseDigest=OTHER)) == "PredictFunctionVersionfedcba9876"


def test_two_releases_of_one_package_differ_for_lambda_too() -> None:
    # Lambda publishes no version that equals the one before, whatever CloudFormation asks for.
    first, second = released(ReleaseDigest=DIGEST), released(ReleaseDigest=OTHER)
    described = [properties(resources, "PredictFunction")["Description"] for resources in (first, second)]
    assert described == [f"Serves the pinned model. {DIGEST}", f"Serves the pinned model. {OTHER}"]
    assert all(len(line) <= 256 for line in described)


def test_the_function_knows_its_release() -> None:
    variables = properties(released(ReleaseDigest=DIGEST), "PredictFunction")["Environment"]["Variables"]
    assert variables["PILOTLIGHT_RELEASE"] == DIGEST


@pytest.mark.parametrize(
    ("given", "expected"), [({}, (4, 4_500_000)), ({"Threads": "2", "MaxBodyBytes": "1000000"}, (2, 1_000_000))]
)
def test_the_function_takes_its_settings_from_the_stack(given: dict[str, str], expected: tuple[int, int]) -> None:
    variables = properties(released(StoreUrl="s3://models", **given), "PredictFunction")["Environment"]["Variables"]
    settings = read_settings(variables, Path(), processors=4)
    assert (settings.threads, settings.max_body_bytes) == expected


def test_without_a_digest_another_package_publishes_a_version() -> None:
    assert version(released("s3://packages/first")) != version(released("s3://packages/second"))


@pytest.mark.parametrize(("parameter", "value"), SHAPING.items())
def test_without_a_digest_a_setting_given_by_parameter_is_deployed_and_never_served(parameter: str, value: str) -> None:
    # SAM looks at the package alone here. This is the trap that the digest is for.
    before, after = released(), released(**{parameter: value})
    assert properties(before, "PredictFunction") != properties(after, "PredictFunction")
    assert version(before) == version(after)


def test_with_a_digest_another_package_needs_another_digest() -> None:
    # The digest stands for the package too, which is why it is computed over both.
    assert version(released("s3://packages/first", ReleaseDigest=DIGEST)) == version(
        released("s3://packages/second", ReleaseDigest=DIGEST)
    )
