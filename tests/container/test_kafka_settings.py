"""The settings of the Kafka consumer: what is taken, what is refused, and that no message has a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafka_properties import reading_properties, writing_properties
from kafka_settings import take_settings
from pilotlight.errors import SettingsError

GIVEN = {
    "PILOTLIGHT_KAFKA_SERVERS": "a:9092,b:9092",
    "PILOTLIGHT_KAFKA_TOPICS": "rows,^more-.*",
    "PILOTLIGHT_KAFKA_GROUP": "g",
    "PILOTLIGHT_KAFKA_RESULTS": "results",
}


def test_settings_are_taken_out_of_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("# of the platform\nsasl.username=me\nsasl.password = secret=1 \n\nlinger.ms=1\n")
    environ = {
        **GIVEN,
        "PILOTLIGHT_KAFKA_PROPERTIES": str(file),
        "PILOTLIGHT_KAFKA_CLIENT_SASL_USERNAME": "you",
        "PILOTLIGHT_STORE": "file:///store",
    }
    settings = take_settings(environ)
    assert environ == {"PILOTLIGHT_STORE": "file:///store"}
    assert (settings.topics, settings.failures, settings.batch, settings.wait) == (("rows", "^more-.*"), "", 500, 0.05)
    assert settings.properties == {"sasl.username": "you", "sasl.password": "secret=1", "linger.ms": "1"}
    reading, writing = reading_properties(settings), writing_properties(settings)
    assert (reading["enable.auto.commit"], reading["group.id"], writing["acks"]) == ("false", "g", "all")
    assert reading["sasl.password"] == writing["sasl.password"] == "secret=1"
    assert writing["linger.ms"] == "1"


def test_the_newer_protocol_of_groups_assigns_by_itself() -> None:
    settings = take_settings({**GIVEN, "PILOTLIGHT_KAFKA_CLIENT_GROUP_PROTOCOL": "consumer"})
    assert "partition.assignment.strategy" not in reading_properties(settings)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SERVERS", "", "PILOTLIGHT_KAFKA_SERVERS is ''; expected brokers like kafka-1:9092"),
        ("TOPICS", "a b", "PILOTLIGHT_KAFKA_TOPICS is 'a b'; expected topics separated by commas"),
        ("GROUP", " ", "PILOTLIGHT_KAFKA_GROUP is ' '; expected a consumer group's id"),
        ("RESULTS", "", "PILOTLIGHT_KAFKA_RESULTS is ''; expected a topic"),
        ("RESULTS", "rows", "topic rows is read and written; expected other topics"),
        ("BATCH", "0", "PILOTLIGHT_KAFKA_BATCH is '0'; expected a whole number from 1 to 100000"),
        ("WAIT_MS", "x", "PILOTLIGHT_KAFKA_WAIT_MS is 'x'; expected a whole number from 1 to 60000"),
        ("TOPIC", "rows", "unknown setting PILOTLIGHT_KAFKA_TOPIC, expected one of PILOTLIGHT_KAFKA_SERVERS"),
        ("CLIENT_ACKS", "0", "the client's property acks cannot be set"),
        ("CLIENT_GROUP_ID", "other", "the client's property group.id cannot be set"),
        ("PROPERTIES", "/nowhere", "PILOTLIGHT_KAFKA_PROPERTIES: /nowhere cannot be read: No such file"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        take_settings({**GIVEN, f"PILOTLIGHT_KAFKA_{name}": value})
    assert str(caught.value).startswith(message)


def test_a_line_without_a_value_is_named_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("a=1\nsecret\n")
    with pytest.raises(SettingsError) as caught:
        take_settings({**GIVEN, "PILOTLIGHT_KAFKA_PROPERTIES": str(file)})
    assert str(caught.value) == f"{file}, line 2: expected name=value"
