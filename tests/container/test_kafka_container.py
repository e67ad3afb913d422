"""The Kafka consumer in its container: built by Docker, on a real broker."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from container import ContainerError, build_image, find_docker
from containers import docker, python_base, running
from kafka_broker import broker
from kafka_scenes import GOOD, Scene, all_ids
from pilotlight_cli.assets import FUNCTIONS
from pilotlight_cli.aws.sam_local import host_address
from pilotlight_cli.staging import build
from repository import LOCK, SAMPLE
from waiting import wait_until


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    base, missing = python_base()
    if missing:
        pytest.skip(missing)
    try:
        find_docker(os.environ)
    except ContainerError as error:
        pytest.skip(str(error))
    package: Path = tmp_path_factory.mktemp("package") / "container-kafka"
    build("container", LOCK, package, lambda _: None, function="kafka")
    name = f"pilotlight-test-{secrets.token_hex(4)}:1"
    dockerfile = FUNCTIONS / "container" / "Dockerfile"
    build_image(
        name, base=base, environ=os.environ, package=package, dockerfile=dockerfile, target="kafka", capture=True
    )
    yield name
    docker("image", "rm", name)


def test_a_container_scores_a_topic_and_ends_in_order(image: str) -> None:
    with ExitStack() as stack:
        kafka = stack.enter_context(broker(host_address(image, "python")))
        scene = Scene(kafka, stack, 2)
        kafka.send(scene.rows, [GOOD] * 100)
        environ = {"PILOTLIGHT_STORE": "file:///store", **scene.settings()}
        options = (f"--volume={SAMPLE / 'store'}:/store:ro", "--health-interval", "1s")
        container = stack.enter_context(running(image, environ, *options))
        container.wait_until_ready()
        scene.wait_for_commits(100)
        wait_until(lambda: bool(container.state["Health"]["Status"] == "healthy"), limit=60)

        assert sorted(scene.ids()) == sorted(all_ids(scene))
        assert container.stop(25) == 0
        assert '"severity":"ERROR"' not in container.log
