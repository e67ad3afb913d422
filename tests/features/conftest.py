"""A service whose model takes features that a real store has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from feature_scenes import MakeScene, Scene, plan_of
from redis_server import RedisServer


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def scene(redis: RedisServer) -> Iterator[MakeScene]:
    """Give what makes a scene whose features are in Redis, from lines to add to the plan."""
    with ExitStack() as stack:

        def make(*more: str, url: str = redis.url, budget: int = 5000, head: str = "") -> Scene:
            head = f"budget_ms = {budget}\n{head}"
            return stack.enter_context(Scene(plan_of(url, 'key = "flat:{flat_id}:{country}"', head, more)))

        yield make
