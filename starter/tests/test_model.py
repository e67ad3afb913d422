"""Each model of this project, served on this machine as a cloud would. Add what yours has to get right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pilotlight_cli.testing import Api, model_names, served


@pytest.fixture(scope="module", params=model_names())
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    with served(request.param) as api:
        yield api


def test_the_model_is_ready(api: Api) -> None:
    assert api.get("/health/ready").status == 200


def test_the_golden_samples_agree(api: Api) -> None:
    assert api.golden_problems() == []


def test_a_request_without_input_is_refused(api: Api) -> None:
    response = api.post("/predict", {})
    assert response.status == 400
    assert response.document["error"]


def test_an_example_is_predicted(api: Api) -> None:
    example = api.example()
    if example is None:
        pytest.skip("JSON cannot represent the golden samples of this model")
    response = api.post(*example)
    assert response.status == 200
    assert response.document["prediction"] is not None
