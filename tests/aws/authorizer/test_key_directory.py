"""The authorizer's look-ups in Parameter Store, with moto's, and what it remembers of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.config import Config

import key_directory
from api_keys import KeysUnavailable, check
from fakes.s3_server import S3Server
from key_directory import MAX_ENTRIES, MISS_SECONDS, RECORD_SECONDS, Directory, parameter_store
from pilotlight_cli.aws import keys

NOW = datetime(2026, 7, 31, 12, tzinfo=UTC)
RECORD = json.dumps({"format": 1, "sha256": "0" * 64, "expires": None})


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer comes so late, on a machine that stalls, that it is asked for again."""
    monkeypatch.setattr(key_directory, "_CONFIG", key_directory._CONFIG.merge(Config(read_timeout=60)))


class Store:
    """Parameters in a dictionary, a clock that is set by hand, and what was asked for."""

    def __init__(self, **parameters: str) -> None:
        self.parameters = parameters
        self.asked: list[str] = []
        self.now = 1000.0
        self.directory = Directory("/keys", self._read, lambda: self.now)

    def knows(self, key_id: str) -> bool:
        return self.directory.find(key_id) is not None

    def _read(self, name: str) -> str | None:
        self.asked.append(name)
        return self.parameters.get(name.removeprefix("/keys/"))


def test_a_key_of_the_command_is_good_until_it_is_revoked(ssm: Any, stack: str) -> None:
    clock = [NOW.timestamp()]
    directory = Directory(keys.path(stack), parameter_store(), lambda: clock[0])
    made, key = keys.create(ssm, stack, label="", expires=NOW.date(), now=NOW)
    assert check(key, directory.find, clock[0]).allowed
    assert check(key, directory.find, clock[0] + 86400).reason == "expired key"

    keys.revoke(ssm, stack, made.id)
    assert check(key, directory.find, clock[0]).allowed, "it is remembered"
    clock[0] += RECORD_SECONDS
    assert check(key, directory.find, clock[0]).reason == "unknown key"


def test_another_stacks_key_is_unknown(ssm: Any, stack: str) -> None:
    directory = Directory(keys.path(f"{stack}-b"), parameter_store(), NOW.timestamp)
    _, key = keys.create(ssm, stack, label="", expires=None, now=NOW)

    assert check(key, directory.find, NOW.timestamp()).reason == "unknown key"


def test_a_refused_look_up_is_an_error(ssm: Any, stack: str, s3_server: S3Server) -> None:
    directory = Directory(keys.path(stack), parameter_store(), NOW.timestamp)
    made, key = keys.create(ssm, stack, label="", expires=None, now=NOW)

    s3_server.fail("400 Bad Request", "AccessDeniedException", of="POST /")
    with pytest.raises(KeysUnavailable, match=f"^/pilotlight/{stack}/api-keys/{made.id}: "):
        check(key, directory.find, NOW.timestamp())
    assert check(key, directory.find, NOW.timestamp()).allowed, "an error is not remembered"


def test_a_hiccup_is_tried_again_and_a_store_that_stays_away_is_an_error(
    ssm: Any, stack: str, s3_server: S3Server
) -> None:
    directory = Directory(keys.path(stack), parameter_store(), NOW.timestamp)

    s3_server.fail("500 Internal Server Error", "InternalServerError", of="POST /")
    assert directory.find("ab" * 8) is None
    s3_server.fail("500 Internal Server Error", "InternalServerError", times=2, of="POST /")
    with pytest.raises(KeysUnavailable):
        directory.find("cd" * 8)


def test_no_answer_is_an_error(ssm: Any, stack: str, closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(KeysUnavailable, match="Could not connect"):
        Directory(keys.path(stack), parameter_store(), NOW.timestamp).find("ab" * 8)


def test_a_parameter_that_is_no_record_is_an_error_that_names_it(ssm: Any, stack: str) -> None:
    directory = Directory(keys.path(stack), parameter_store(), NOW.timestamp)
    ssm.put_parameter(Name=f"{keys.path(stack)}/{'ab' * 8}", Value="by hand", Type="String")

    with pytest.raises(KeysUnavailable, match=rf"^/pilotlight/{stack}/api-keys/abab\w+ is not an API key's record"):
        directory.find("ab" * 8)


def test_a_record_is_asked_for_once_a_minute() -> None:
    store = Store(a=RECORD)
    for _ in range(3):
        assert store.knows("a")
    store.now += RECORD_SECONDS - 0.001
    assert store.knows("a")
    assert store.asked == ["/keys/a"]

    store.now += 0.001
    assert store.knows("a")
    assert store.asked == ["/keys/a"] * 2


def test_an_id_without_a_record_is_remembered_for_some_seconds() -> None:
    store = Store()
    assert not store.knows("a")
    store.parameters["a"] = RECORD
    store.now += MISS_SECONDS - 0.001
    assert not store.knows("a")
    store.now += 0.001
    assert store.knows("a")
    assert store.asked == ["/keys/a"] * 2


def test_a_revoked_key_is_remembered_as_unknown() -> None:
    store = Store(a=RECORD)
    assert store.knows("a")
    del store.parameters["a"]
    store.now += RECORD_SECONDS
    assert [store.knows("a"), store.knows("a")] == [False, False]
    assert store.asked == ["/keys/a"] * 2


def test_made_up_ids_take_bounded_memory_and_push_no_good_key_out() -> None:
    store = Store(good=RECORD)
    assert store.knows("good")
    for number in range(MAX_ENTRIES + 1):
        assert not store.knows(f"no-{number}")
    asked = len(store.asked)

    assert store.knows("good")
    assert not store.knows(f"no-{MAX_ENTRIES}")
    assert len(store.asked) == asked
    assert not store.knows("no-0")
    assert len(store.asked) == asked + 1, "the oldest was forgotten"
