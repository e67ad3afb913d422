"""The gRPC server in its container: built by Docker, asked by Triton's messages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import grpc_inference_pb2 as pb
from containers import Built, running, sample_image
from grpc_calls import connected
from pilotlight.model.lock import load_lock
from repository import LOCK, SAMPLE
from waiting import wait_until


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with sample_image(tmp_path_factory.mktemp("package"), "grpc") as found:
        yield found


def test_a_container_answers_and_ends_in_order(built: Built) -> None:
    model = load_lock(LOCK).model
    environ = {"PILOTLIGHT_STORE": "file:///store"}
    with running(built.image, environ, f"--volume={SAMPLE / 'store'}:/store:ro", "--health-interval=1s") as container:
        wait_until(lambda: bool(container.state["Health"]["Status"] == "healthy"), limit=120)
        with connected(f"{container.own_address}:8081") as client:
            found = client.call("ModelReady", pb.ModelReadyRequest(name=model.name))

        assert found.ready
        assert container.stop(25) == 0
        assert '"severity":"ERROR"' not in container.log
