from __future__ import annotations

import pytest

from templates import AUTHORIZATIONS, START_MODES, Resources, of_type, properties, refused, stack, the

TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"


def modes(resources: Resources) -> tuple[bool, bool]:
    """Whether versions have a snapshot, and whether the alias has provisioned instances."""
    snapshots = properties(resources, "PredictFunction")["SnapStart"]["ApplyOn"] == "PublishedVersions"
    return snapshots, "ProvisionedConcurrencyConfig" in properties(resources, the(resources, "AWS::Lambda::Alias"))


@pytest.mark.parametrize("authorization", AUTHORIZATIONS)
@pytest.mark.parametrize(
    ("start", "expected"),
    [("on-demand", (False, False)), ("provisioned", (False, True)), ("snapstart", (True, False))],
)
def test_a_start_mode_excludes_the_others(start: str, authorization: str, expected: tuple[bool, bool]) -> None:
    resources = stack(**START_MODES[start], **AUTHORIZATIONS[authorization])
    assert modes(resources) == expected
    assert len(of_type(resources, TARGET)) == len(of_type(resources, POLICY)) == int(start == "provisioned")


def test_snapstart_is_switched_off_in_so_many_words() -> None:
    # A property that is left out might leave the function as it was.
    assert properties(stack(), "PredictFunction")["SnapStart"] == {"ApplyOn": "None"}


def test_the_alias_begins_with_the_fewest_provisioned_instances() -> None:
    resources = stack(**START_MODES["provisioned"])
    alias = properties(resources, the(resources, "AWS::Lambda::Alias"))
    assert alias["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": "2"}


def test_autoscaling_moves_the_alias_between_the_sizes() -> None:
    resources = stack(**START_MODES["provisioned"])
    target = properties(resources, the(resources, TARGET))
    assert (target["ServiceNamespace"], target["ScalableDimension"]) == (
        "lambda",
        "lambda:function:ProvisionedConcurrency",
    )
    assert target["ResourceId"] == {"Fn::Sub": "function:${PredictFunction}:live"}
    assert (target["MinCapacity"], target["MaxCapacity"]) == ("2", "10")


def test_autoscaling_waits_for_the_alias() -> None:
    resources = stack(**START_MODES["provisioned"])
    assert resources[the(resources, TARGET)]["DependsOn"] == the(resources, "AWS::Lambda::Alias")


def test_autoscaling_tracks_how_busy_the_provisioned_instances_are() -> None:
    resources = stack(**START_MODES["provisioned"])
    policy = properties(resources, the(resources, POLICY))
    assert policy["PolicyType"] == "TargetTrackingScaling"
    assert policy["ScalingTargetId"] == {"Ref": the(resources, TARGET)}
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert metric == "LambdaProvisionedConcurrencyUtilization"
    assert 0.1 <= tracking["TargetValue"] <= 0.9


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"StartMode": "snapstart", "EphemeralStorageMb": "1024"}, "SnapStart supports EphemeralStorageMb 512 only"),
        ({"MinProvisioned": "2"}, "MinProvisioned applies to StartMode provisioned only"),
        (
            {"StartMode": "snapstart", "MaxProvisioned": "2"},
            "MaxProvisioned applies to StartMode provisioned only",
        ),
        ({"StartMode": "always"}, "expected one of on-demand, provisioned, snapstart"),
    ],
)
def test_wrong_combinations_are_refused_with_a_sentence(given: dict[str, str], why: str) -> None:
    (sentence,) = refused(**given)
    assert why in sentence


@pytest.mark.parametrize("start", START_MODES)
def test_right_combinations_are_taken(start: str) -> None:
    assert refused(**START_MODES[start]) == []
