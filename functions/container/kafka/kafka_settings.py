"""Settings of the Kafka consumer, and the properties of its client, read once from the environment.

They are taken out of it: what is left is for the core, and no child process sees a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from pilotlight.errors import SettingsError
from pilotlight.frozen import dataclass
from pilotlight.settings import PREFIX, Setting

_KAFKA = f"{PREFIX}KAFKA_"
_CLIENT = f"{_KAFKA}CLIENT_"

# https://kafka.apache.org/documentation/#topicconfigs: what a topic may be called. A pattern begins with ^.
_TOPIC = r"[A-Za-z0-9._-]{1,249}"

# Properties that settings of their own have, or on which it depends that nothing is lost.
_OWN = (
    *("bootstrap.servers", "metadata.broker.list", "group.id"),
    *("enable.auto.commit", "enable.auto.offset.store", "enable.partition.eof", "acks", "request.required.acks"),
)

_MAX_BATCH = 100_000


def _is_topic(value: str) -> bool:
    return bool(re.fullmatch(_TOPIC, value))


def _are_topics(value: str) -> bool:
    return all(bool(re.fullmatch(rf"{_TOPIC}|\^\S+", topic)) for topic in value.split(","))


def _is_whole(value: str, most: int) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= most


KAFKA_SETTINGS = (
    Setting(
        "KAFKA_SERVERS",
        "the brokers to ask first",
        "",
        lambda value: bool(re.fullmatch(r"[^\s,]+(,[^\s,]+)*", value)),
        "brokers like kafka-1:9092,kafka-2:9092",
    ),
    Setting(
        "KAFKA_TOPICS",
        "the topics to score",
        "",
        _are_topics,
        "topics separated by commas; one that begins with ^ is a pattern",
    ),
    Setting("KAFKA_GROUP", "the consumer group", "", lambda value: bool(value.strip()), "a consumer group's id"),
    Setting("KAFKA_RESULTS", "the topic of the results", "", _is_topic, "a topic"),
    Setting(
        "KAFKA_FAILURES",
        "the topic of records that cannot be scored",
        "",
        lambda value: not value or _is_topic(value),
        "a topic, or nothing",
    ),
    Setting(
        "KAFKA_BATCH",
        "how many records are scored at once",
        "500",
        lambda value: _is_whole(value, _MAX_BATCH),
        f"a whole number from 1 to {_MAX_BATCH}",
    ),
    Setting(
        "KAFKA_WAIT_MS",
        "how long a record waits for others of its batch, in milliseconds",
        "50",
        lambda value: _is_whole(value, 60_000),
        "a whole number from 1 to 60000",
    ),
    Setting(
        "KAFKA_PROPERTIES",
        "a file of the client's properties",
        "",
        lambda _: True,
        "a file of librdkafka's properties, or nothing",
    ),
)


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """The values of KAFKA_SETTINGS; `wait` is in seconds, `failures` is empty where there is no such topic.

    `properties` are librdkafka's by their names. They have passwords: show them to nobody.
    """

    servers: str
    topics: tuple[str, ...]
    group: str
    results: str
    failures: str
    batch: int
    wait: float
    properties: Mapping[str, str]


def take_settings(environ: MutableMapping[str, str]) -> KafkaSettings:
    """Return the settings in `environ`, and remove them from it.

    `PILOTLIGHT_KAFKA_CLIENT_SASL_PASSWORD` is librdkafka's property `sasl.password`, and so are the others; it counts
    before a property of the same name in the file.

    Raise SettingsError, without any property's value, for an unknown variable, a malformed value, or a property that
    the consumer sets itself.
    """
    found = {name: environ.pop(name) for name in sorted(environ) if name.startswith(_KAFKA)}
    clients = {name: found.pop(name) for name in list(found) if name.startswith(_CLIENT)}
    known = [setting.variable for setting in KAFKA_SETTINGS]
    unknown = next((name for name in found if name not in known), None)
    if unknown is not None:
        raise SettingsError(f"unknown setting {unknown}, expected one of {', '.join(known)}, or {_CLIENT}...")
    values = {setting.name.removeprefix("KAFKA_"): _value(setting, found) for setting in KAFKA_SETTINGS}
    properties = _read_properties(values["PROPERTIES"]) if values["PROPERTIES"] else {}
    properties |= {name.removeprefix(_CLIENT).lower().replace("_", "."): clients[name] for name in clients}
    for name in properties:
        if name in _OWN:
            raise SettingsError(
                f"the client's property {name} cannot be set: the consumer or a setting of its own does"
            )
    topics = tuple(values["TOPICS"].split(","))
    written = {values["RESULTS"], values["FAILURES"]}.intersection(topics)
    if written:
        raise SettingsError(f"topic {written.pop()} is read and written; expected other topics for what is written")
    return KafkaSettings(
        servers=values["SERVERS"],
        topics=topics,
        group=values["GROUP"],
        results=values["RESULTS"],
        failures=values["FAILURES"],
        batch=int(values["BATCH"]),
        wait=int(values["WAIT_MS"]) / 1000,
        properties=properties,
    )


def _value(setting: Setting, environ: Mapping[str, str]) -> str:
    value = environ.get(setting.variable, setting.default)
    if not setting.is_valid(value):
        raise SettingsError(f"{setting.variable} is {value!r}; expected {setting.expected}")
    return value


def _read_properties(name: str) -> dict[str, str]:
    """Read lines of `name=value`; # begins a comment. Values never get into an error."""
    properties = {}
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{_KAFKA}PROPERTIES: {name} cannot be read: {reason}") from None
    for number, line in enumerate(lines, 1):
        key, separator, value = line.strip().partition("=")
        if not key or key.startswith("#"):
            continue
        if not separator:
            raise SettingsError(f"{name}, line {number}: expected name=value")
        properties[key.strip()] = value.strip()
    return properties
