"""The table of routes, and how a path finds its route in it."""

from __future__ import annotations

import pytest

from pilotlight.http.routes import ROUTES, find
from pilotlight.protocols import bigquery, mlflow, predict, v1
from pilotlight.protocols.openapi import document
from pilotlight.protocols.v2 import routes


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_path_of_the_table_finds_its_own_route(route: object) -> None:
    path = getattr(route, "path", "")
    found = find(path.replace("{m}", "rents").replace("{v}", "12"))
    assert found is not None
    assert found[0] is route
    expected = {"m": "rents", "v": "12"}
    assert found[1] == {name: value for name, value in expected.items() if f"{{{name}}}" in path}


def test_every_route_does_something_and_nothing_is_done_on_no_route() -> None:
    protocols = (bigquery, mlflow, document, predict, v1, routes)
    assert set().union(*(protocol.ACTIONS for protocol in protocols)) == {route.path for route in ROUTES}


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//",
        "v2",
        "/V2",
        "/v2//",
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/m/versions//infer",
        "/v2/models/m/versions/1/",
        "/v2/models/m/infer/",
        "/v2/models/m/load",
        "/v2/models/m/n/infer",
        "/v2/models/{m}/versions",
        "/predict/{m}",
        "/v1/models/m:explain/",
        "/v1/models/m:explain",
        "/v1/models/m:1:predict",
        "/v1/models/:predict",
        "/v2/models/m:1",
    ],
)
def test_a_path_that_is_only_like_a_route_finds_none(path: str) -> None:
    assert find(path) is None


def test_a_get_route_answers_head_and_every_route_answers_options() -> None:
    methods = {route.method: route.methods for route in ROUTES}
    assert methods == {"GET": ("GET", "HEAD", "OPTIONS"), "POST": ("POST", "OPTIONS")}
