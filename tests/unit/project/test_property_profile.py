"""The profile of Hypothesis, which each of its tests keeps from the moment of its decorator."""

from __future__ import annotations

import pytest

from properties import given, st


@given(nothing=st.none())
def test_a_property_test_is_known_by_its_marker(request: pytest.FixtureRequest, nothing: None) -> None:
    assert request.node.get_closest_marker("hypothesis")


def test_no_property_test_of_this_run_has_a_deadline(request: pytest.FixtureRequest) -> None:
    tests = [item for item in request.session.items if item.get_closest_marker("hypothesis")]
    assert tests
    for test in tests:
        assert isinstance(test, pytest.Function)
        assert test.obj._hypothesis_internal_use_settings.deadline is None, test.nodeid
