from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from doubles import description
from pilotlight.model.golden import Golden
from pilotlight_cli.local.versions import Served, Versions, versions_of
from pilotlight_cli.registry.versions import NotPublished
from pilotlight_cli.signing import SignatureRefused
from signed_versions import NAME, make_workshop

PINNED = Served(replace(description(), name="m", version=1), Golden(()))


class Instances:
    """Versions that run, in place of real instances, and the threads that started them."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.threads: set[int] = set()

    @contextmanager
    def start(self, name: str) -> Iterator[Served]:
        self.threads.add(threading.get_ident())
        self.running.append(name)
        yield Served(replace(PINNED.model, version=int(name.partition(":")[2])), Golden(()), f"http://{name}")
        self.running.remove(name)


@pytest.fixture
def instances() -> Instances:
    return Instances()


@pytest.fixture
def versions(instances: Instances) -> Iterator[Versions]:
    made = Versions(PINNED, instances.start, lambda: tuple(range(1, 9)))
    yield made
    made.close()


def test_the_last_versions_shown_go_on_running_and_one_thread_starts_them(
    versions: Versions, instances: Instances
) -> None:
    for number in (2, 3, 4, 5, 2, 1, 6, 7):
        assert versions.show(f"m:{number}").model.version == number
    assert sorted(instances.running) == ["m:2", "m:5", "m:6", "m:7"]
    assert len(instances.threads) == 1
    assert threading.get_ident() not in instances.threads


def test_all_end_with_the_page(instances: Instances) -> None:
    versions = Versions(PINNED, instances.start, lambda: (1, 2))
    versions.show("m:2")
    versions.close()
    assert instances.running == []


@pytest.mark.parametrize("name", ["m:9", "other:1", "m@live", "m", "../m:2"])
def test_only_what_is_published_of_the_model_starts(name: str, versions: Versions, instances: Instances) -> None:
    with pytest.raises(NotPublished, match=r"expected one of m:8, m:7"):
        versions.show(name)
    assert instances.running == []


def test_a_version_that_did_not_start_can_be_chosen_again(instances: Instances) -> None:
    @contextmanager
    def start(name: str) -> Iterator[Served]:
        if not instances.threads:
            instances.threads.add(0)
            raise SignatureRefused(name)
        with instances.start(name) as served:
            yield served

    versions = Versions(PINNED, start, lambda: (1, 2))
    with pytest.raises(SignatureRefused):
        versions.show("m:2")
    assert versions.show("m:2").url == "http://m:2"
    versions.close()


def test_a_version_that_the_projects_signers_did_not_sign_does_not_start(tmp_path: Path) -> None:
    workshop = make_workshop(tmp_path)
    workshop.put(workshop.team)
    workshop.put(workshop.stranger)
    pinned = Served(workshop.pin().lock.model, Golden(()))
    with (
        versions_of(pinned, "gcp", workshop.lock, workshop.store.url, "") as versions,
        pytest.raises(SignatureRefused, match=f"{NAME}/2"),
    ):
        versions.show(f"{NAME}:2")
