"""The function as a container image: built by its Dockerfile on Lambda's image, run by the emulator in there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from container import ContainerError, build_image, find_docker
from containers import Container, docker
from pilotlight.model.lock import load_lock
from pilotlight_cli.assets import FUNCTIONS
from pilotlight_cli.aws.sam_local import reachable_store
from pilotlight_cli.local.client import send
from pilotlight_cli.local.events import HttpRequest, http_api_event
from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.staging import build
from pilotlight_cli.stores import open_store
from repository import LOCK
from waiting import wait_until

INVOCATIONS = "/2015-03-31/functions/function/invocations"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the package with a store of the sample model in it."""
    folder = tmp_path_factory.mktemp("package") / "aws"
    build("aws", LOCK, folder, lambda _: None)
    ensure_published(LOCK, open_store((folder / "store").as_uri()))
    return folder


@pytest.fixture(scope="module")
def image(lambda_image: str, package: Path) -> Iterator[str]:
    try:
        find_docker(os.environ)
    except ContainerError as error:
        pytest.skip(str(error))
    name = f"pilotlight-test-{secrets.token_hex(4)}:1"
    dockerfile = FUNCTIONS / "aws/container/Dockerfile"
    build_image(name, base=lambda_image, environ=os.environ, package=package, dockerfile=dockerfile, capture=True)
    yield name
    docker("image", "rm", name)


@contextmanager
def running(image: str, environ: Mapping[str, str], *options: str) -> Iterator[Container]:
    """Run the image as Lambda does: only /tmp can be written."""
    variables = [f"--env={name}={value}" for name, value in environ.items()]
    options = ("--read-only", "--tmpfs=/tmp", "--publish=127.0.0.1::8080", *options)
    found = Container(docker("run", "--detach", *variables, *options, image).strip())
    try:
        yield found
    finally:
        docker("rm", "--force", "--volumes", found.id)


def answer(container: Container) -> Any:
    """Return the reply to a request for the model's readiness; the first event starts the function."""
    url = f"http://{docker('port', container.id, '8080').splitlines()[0]}"
    wait_until(lambda: _listens(url), limit=60)
    return send(url, INVOCATIONS, http_api_event(HttpRequest("GET", "/health/ready"))).document


def _listens(url: str) -> bool:
    try:
        send(url, "/")
    except OSError:
        return False
    return True


BAKED = {"PILOTLIGHT_STORE": "file:///var/task/store"}


def test_a_model_in_the_image_is_served_without_a_network(image: str) -> None:
    with running(image, BAKED) as found:
        assert answer(found)["statusCode"] == 200


def test_a_model_in_the_store_is_fetched_at_the_start(image: str, address: str) -> None:
    with reachable_store(address) as store:
        with acting_in(store.environ):
            ensure_published(LOCK, open_store(store.url))
        with running(image, {**store.environ, "PILOTLIGHT_STORE": store.url}) as found:
            assert answer(found)["statusCode"] == 200


def test_other_bytes_in_the_image_are_refused(image: str, package: Path, tmp_path: Path) -> None:
    model = load_lock(LOCK).model
    key = model.key(model.files[0].name)
    other = tmp_path / "other"
    other.write_bytes((package / "store" / key).read_bytes()[:-1] + b"!")
    with running(image, BAKED, f"--volume={other}:/var/task/store/{key}:ro") as found:
        assert answer(found)["errorType"] == "DigestMismatch"
