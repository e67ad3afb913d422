"""What each source hears and delivers again, by small examples; test_record_events.py has mixes and an oracle."""

from __future__ import annotations

import pytest

from failure_rules import Position, Rule, redelivered, reply


@pytest.mark.parametrize(
    ("rule", "expected"), [("each", ["b"]), ("group", ["b", "d"]), ("stream", ["b", "c", "d", "e"])]
)
def test_a_failure_takes_with_it_what_the_order_of_its_source_puts_behind_it(rule: Rule, expected: list[str]) -> None:
    positions = [
        Position(name, group, number) for number, (name, group) in enumerate(zip("abcde", "xxyxy", strict=True))
    ]
    again = redelivered(rule, positions, {"b", "not in the event"})
    assert [position.identifier for position in again] == expected
    reported = expected[:1] if rule == "stream" else expected
    assert reply(rule, again) == {"batchItemFailures": [{"itemIdentifier": name} for name in reported]}
    assert redelivered(rule, positions, {"not in the event"}) == []
    assert reply(rule, []) == {"batchItemFailures": []}


def test_a_stream_starts_again_at_the_lowest_number_and_not_at_the_first_string() -> None:
    positions = [Position(number, sequence=int(number)) for number in ("10", "9", "11")]
    again = redelivered("stream", positions, {"10", "11"})
    assert [position.identifier for position in again] == ["10", "11"]
    assert reply("stream", again) == {"batchItemFailures": [{"itemIdentifier": "10"}]}


def test_a_kafka_record_is_named_by_partition_and_offset() -> None:
    position = Position(("topic-0", 100))
    assert reply("each", [position]) == {
        "batchItemFailures": [{"itemIdentifier": {"partition": "topic-0", "offset": 100}}]
    }
