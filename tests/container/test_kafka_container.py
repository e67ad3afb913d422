"""The Kafka consumer in its container: built by Docker, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from containers import Built, running, sample_image
from kafka_broker import broker
from kafka_scenes import GOOD, Scene, all_ids
from repository import SAMPLE
from waiting import wait_until


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with sample_image(tmp_path_factory.mktemp("package"), "kafka") as found:
        yield found


def test_a_container_scores_a_topic_and_ends_in_order(built: Built) -> None:
    with ExitStack() as stack:
        kafka = stack.enter_context(broker(built.address))
        scene = Scene(kafka, stack, 2)
        kafka.send(scene.rows, [GOOD] * 100)
        environ = {"PILOTLIGHT_STORE": "file:///store", **scene.settings()}
        options = (f"--volume={SAMPLE / 'store'}:/store:ro", "--health-interval", "1s")
        container = stack.enter_context(running(built.image, environ, *options))
        container.wait_until_ready()
        scene.wait_for_commits(100)
        wait_until(lambda: bool(container.state["Health"]["Status"] == "healthy"), limit=60)

        assert sorted(scene.ids()) == sorted(all_ids(scene))
        assert container.stop(25) == 0
        assert '"severity":"ERROR"' not in container.log
