"""Which updates a deployment takes, and which changes cannot go together."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pilotlight_cli.aws.changes import MixedChange, Update, updates
from pilotlight_cli.aws.template import effective_values
from templates import START_MODES, TEMPLATE, refused

Values = Mapping[str, str]


def digest(values: Values) -> str:
    """Return a digest over some of what is in the real one."""
    return f"{values['MemorySize']}-{values['StartMode']}-code"


def wanted(**given: str) -> dict[str, str]:
    return effective_values(TEMPLATE, given)


def deployed(**given: str) -> dict[str, str]:
    """Return the parameters of a stack that was deployed with these."""
    values = wanted(**given)
    return {**values, "ReleaseDigest": digest(values)}


def essence(update: Update) -> tuple[str, str, str]:
    return update.values["StartMode"], update.values["ReleaseDigest"], update.values["DeploymentType"]


PROVISIONED = START_MODES["provisioned"]


@pytest.mark.parametrize("mode", START_MODES)
def test_a_stack_is_created_in_one_step_in_every_start_mode(mode: str) -> None:
    given = START_MODES[mode]
    (update,) = updates(None, wanted(**given), digest)
    assert update.values == deployed(**given)


@pytest.mark.parametrize("mode", START_MODES)
def test_a_release_in_the_same_start_mode_is_one_update_with_its_own_deployment_type(mode: str) -> None:
    given = START_MODES[mode]
    (update,) = updates(deployed(**given), wanted(**given, MemorySize="3008"), digest)
    assert essence(update) == (mode, f"3008-{mode}-code", "Linear10PercentEvery1Minute")


def test_nothing_changed_is_an_update_that_changes_nothing() -> None:
    (update,) = updates(deployed(), wanted(), digest)
    assert update.values == deployed()


def test_a_version_comes_before_the_instances_of_it_that_are_kept_ready() -> None:
    first, second = updates(deployed(), wanted(**PROVISIONED), digest)
    assert essence(first) == ("on-demand", "1769-provisioned-code", "AllAtOnce")
    assert essence(second) == ("provisioned", "1769-provisioned-code", "AllAtOnce")
    assert (second.values["MinProvisioned"], second.values["MaxProvisioned"]) == ("2", "10")


def test_an_attempt_that_came_as_far_as_the_version_is_taken_up_there() -> None:
    halfway = {**deployed(), "ReleaseDigest": "1769-provisioned-code"}
    (update,) = updates(halfway, wanted(**PROVISIONED), digest)
    assert essence(update) == ("provisioned", "1769-provisioned-code", "AllAtOnce")


@pytest.mark.parametrize("mode", ["on-demand", "snapstart"])
def test_instances_go_before_another_version_comes(mode: str) -> None:
    first, second = updates(deployed(**PROVISIONED), wanted(StartMode=mode), digest)
    assert essence(first) == ("on-demand", "1769-provisioned-code", "AllAtOnce")
    assert essence(second) == (mode, f"1769-{mode}-code", "AllAtOnce")


def test_what_was_given_up_halfway_goes_on_to_any_start_mode() -> None:
    halfway = {**deployed(), "ReleaseDigest": "1769-provisioned-code"}
    assert essence(updates(halfway, wanted(StartMode="snapstart"), digest)[-1])[0] == "snapstart"
    assert essence(updates(halfway, wanted(), digest)[-1])[0] == "on-demand"


def test_from_a_snapshot_to_instances_leads_over_a_version_without_one() -> None:
    first, second = updates(deployed(StartMode="snapstart"), wanted(**PROVISIONED), digest)
    assert [essence(update)[0] for update in (first, second)] == ["on-demand", "provisioned"]
    assert first.values["ReleaseDigest"] == second.values["ReleaseDigest"] == "1769-provisioned-code"


@pytest.mark.parametrize(("before", "after"), [("on-demand", "snapstart"), ("snapstart", "on-demand")])
def test_between_on_demand_and_snapshots_it_is_one_version_all_at_once(before: str, after: str) -> None:
    (update,) = updates(deployed(StartMode=before), wanted(StartMode=after), digest)
    assert essence(update) == (after, f"1769-{after}-code", "AllAtOnce")


@pytest.mark.parametrize("size", ["MinProvisioned", "MaxProvisioned"])
def test_a_change_of_size_publishes_nothing(size: str) -> None:
    before = deployed(**PROVISIONED)
    (update,) = updates(before, wanted(**PROVISIONED | {size: "5"}), digest)
    assert essence(update) == ("provisioned", before["ReleaseDigest"], "AllAtOnce")
    assert update.values[size] == "5"


@pytest.mark.parametrize("before", START_MODES)
@pytest.mark.parametrize("after", START_MODES)
def test_the_template_takes_every_step_of_the_way(before: str, after: str) -> None:
    plan = updates(deployed(**START_MODES[before]), wanted(**START_MODES[after]), digest)
    for update in plan:
        assert refused(**{**update.values, "ReleaseDigest": ""}) == []
    assert plan[-1].values["StartMode"] == after


def test_a_start_mode_and_a_setting_together_are_refused_with_the_way_to_do_it() -> None:
    with pytest.raises(MixedChange) as raised:
        updates(deployed(), wanted(**PROVISIONED, ThrottleRate="7", CorsOrigins="*"), digest)
    message = str(raised.value)
    assert "StartMode from on-demand to provisioned, MinProvisioned from 1 to 2, MaxProvisioned from 1 to 10" in message
    assert "and also CorsOrigins from nothing to *; ThrottleRate from 100 to 7." in message
    assert "Deploy the rest first, with StartMode=on-demand MinProvisioned=1 MaxProvisioned=1 in samconfig" in message


def test_a_start_mode_and_other_code_together_are_refused() -> None:
    before = {**deployed(), "ReleaseDigest": "1769-on-demand-older"}
    with pytest.raises(MixedChange, match="and also the code, the model or the function's properties"):
        updates(before, wanted(StartMode="snapstart"), digest)


def test_a_size_and_other_code_together_are_refused() -> None:
    before = {**deployed(**PROVISIONED), "ReleaseDigest": "1769-provisioned-older"}
    with pytest.raises(MixedChange, match=r"\(MaxProvisioned from 10 to 20\), and also the code, the model"):
        updates(before, wanted(**PROVISIONED | {"MaxProvisioned": "20"}), digest)


def test_a_start_mode_after_a_deployment_without_a_digest_is_refused() -> None:
    before = {**deployed(), "ReleaseDigest": ""}
    with pytest.raises(MixedChange, match="the stack was deployed without a release digest"):
        updates(before, wanted(StartMode="snapstart"), digest)


def test_another_deployment_type_is_no_reason_to_refuse() -> None:
    before = {**deployed(), "DeploymentType": "AllAtOnce"}
    assert len(updates(before, wanted(StartMode="snapstart"), digest)) == 1
