"""The weights, headers and mirrors of the rollouts, in Envoy in front of servers of the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
import requests

import envoy
from envoy import Envoy, Rule, rules_of
from fakes.routes import Routes
from local_lock import STORE, lock_the_sample
from manifests import by_kind, needs_kubectl
from pilotlight_cli.local import serving
from pilotlight_cli.local.server import Server
from repository import sample_request
from waiting import wait_until

pytestmark = needs_kubectl

SERVES, CANARY, MIRROR = "breast-cancer", "breast-cancer-canary", "mirror"
ROUTES = {"rollouts/gateway": "HTTPRoute", "rollouts/istio": "VirtualService"}
REQUESTS = 300


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Server]]:
    """Give two servers of the model, by the name of their Service."""
    lock = lock_the_sample(tmp_path_factory.mktemp("project"))
    with serving("gcp", lock, STORE) as serves, serving("gcp", lock, STORE) as canary:
        yield {SERVES: serves, CANARY: canary}


def ask(proxy: Envoy, **headers: str) -> requests.Response:
    path, document = sample_request()
    return SESSION.post(proxy.url + path, json=document, headers=headers, timeout=60)


SESSION = requests.Session()


@pytest.mark.parametrize("folder", ROUTES)
def test_a_canary_gets_its_share_from_none_to_all_and_no_request_fails(
    packages: Path, tmp_path: Path, servers: Mapping[str, Server], folder: str
) -> None:
    *tester, share = rules_of(by_kind(folder)[ROUTES[folder]])
    assert share.shares == {SERVES: 90, CANARY: 10}
    assert [rule.headers for rule in tester] == [{"x-canary": "always"}]
    urls = {name: [server.url] for name, server in servers.items()}
    with envoy.running(packages, tmp_path, urls, [*tester, share]) as proxy:
        for weight in (0, 10, 50, 100):
            rules = [*tester, replace(share, shares={SERVES: 100 - weight, CANARY: weight})]
            proxy.wait_until_followed(proxy.route(rules))
            answers = [ask(proxy) for _ in range(REQUESTS)]
            assert {each.status_code for each in answers} == {200}
            seen = sum(each.headers["x-service"] == CANARY for each in answers)
            spread = sqrt(REQUESTS * weight * (100 - weight)) / 100
            assert seen == pytest.approx(REQUESTS * weight / 100, abs=6 * spread)  # wrong once in 500 million

        proxy.wait_until_followed(proxy.route([*tester, replace(share, shares={SERVES: 100, CANARY: 0})]))
        testers = [ask(proxy, **{"x-canary": "always"}) for _ in range(20)]
        assert {(each.status_code, each.headers["x-service"]) for each in testers} == {(200, CANARY)}


def test_nobody_sees_what_a_mirror_answers(packages: Path, tmp_path: Path, servers: Mapping[str, Server]) -> None:
    shadowed = Rule({SERVES: 100}, {}, mirror=MIRROR)
    urls = {SERVES: [servers[SERVES].url], CANARY: [servers[CANARY].url]}
    with Routes() as failing, envoy.running(packages, tmp_path, urls | {MIRROR: [failing.url]}, [shadowed]) as proxy:
        alone = requests.post(servers[SERVES].url + sample_request()[0], json=sample_request()[1], timeout=60)

        answers = [ask(proxy) for _ in range(50)]

        assert {(each.status_code, each.content) for each in answers} == {(200, alone.content)}
        wait_until(lambda: sum(path.startswith("POST /predict") for path, _ in failing.asked) == 50, limit=60)
