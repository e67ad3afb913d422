"""Which keys are good, as the authorizer judges them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from api_keys import KeysUnavailable, Record, Verdict, check, read_record
from authorizer_event import authorize

ID = "00112233445566aa"
SECRET = "s" * 42 + "-"
KEY = f"{ID}.{SECRET}"
SHA256 = hashlib.sha256(SECRET.encode()).hexdigest()
NOW = datetime(2026, 7, 31, 12, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 8, 1, tzinfo=UTC).timestamp()

STORED = {"format": 1, "sha256": SHA256, "label": "a team", "created": "2026-07-01T00:00:00Z", "expires": None}


def find(key_id: str) -> Record | None:
    return Record(SHA256, expires=date(2026, 7, 31)) if key_id == ID else None


def must_not_be_asked(key_id: str) -> Record | None:
    raise AssertionError(key_id)


def asked_with(key: str | None, **headers: str) -> dict[str, Any]:
    given = headers if key is None else {"x-api-key": key, **headers}
    return {"version": "2.0", "type": "REQUEST", "headers": given, "requestContext": {"requestId": "r-1"}}


def test_a_good_key_passes_and_is_told_by_its_id() -> None:
    assert check(KEY, find, NOW) == Verdict(allowed=True, id=ID)


def test_a_wrong_secret_does_not() -> None:
    assert check(f"{ID}.{'t' * 43}", find, NOW) == Verdict(allowed=False, id=ID, reason="wrong secret")


def test_an_unknown_id_does_not() -> None:
    other = "ff" * 8
    assert check(f"{other}.{SECRET}", find, NOW) == Verdict(allowed=False, id=other, reason="unknown key")


def test_a_key_works_to_the_end_of_its_last_day_in_utc() -> None:
    assert check(KEY, find, MIDNIGHT - 0.001).allowed
    assert check(KEY, find, MIDNIGHT) == Verdict(allowed=False, id=ID, reason="expired key")


def test_a_secret_is_judged_before_the_last_day_is_told() -> None:
    assert check(f"{ID}.{'t' * 43}", find, MIDNIGHT).reason == "wrong secret"


@pytest.mark.parametrize(
    "header",
    [
        *("no-dot", ".", f".{SECRET}", f"{ID}.", f"{ID}.{SECRET}x", f"{ID}.{SECRET[1:]}", f" {KEY}", f"{KEY}\n"),
        *(f"{ID.upper()}.{SECRET}", f"{ID[1:]}.{SECRET}", f"{KEY},{KEY}", f"Bearer {KEY}", "x" * 100_000),
        *(f"../../../{ID[9:]}.{SECRET}", f"{ID[:8]}/1122334.{SECRET}", f"{ID[:15]}:.{SECRET}", f"{ID[:15]}٣.{SECRET}"),
    ],
    ids=ascii,
)
def test_what_has_not_our_form_asks_for_no_parameter(header: str) -> None:
    assert check(header, must_not_be_asked, NOW) == Verdict(allowed=False, reason="malformed key")


def test_a_request_without_the_header_does_not_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert authorize(asked_with(None, authorization=f"Bearer {KEY}"), must_not_be_asked, NOW) == {"isAuthorized": False}
    assert json.loads(capsys.readouterr().out)["reason"] == "no key"


@pytest.mark.parametrize("event", [{}, {"headers": None, "requestContext": None}])
def test_an_event_without_anything_does_not_pass(event: dict[str, Any]) -> None:
    assert authorize(event, must_not_be_asked, NOW) == {"isAuthorized": False}


def test_a_good_key_is_answered_with_its_id_for_the_access_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert authorize(asked_with(KEY), find, NOW) == {"isAuthorized": True, "context": {"key_id": ID}}
    assert capsys.readouterr().out == ""


def test_a_headers_name_may_be_written_in_any_way() -> None:
    assert authorize(asked_with(None, **{"X-Api-Key": KEY}), find, NOW)["isAuthorized"]


def test_a_refusal_is_one_line_without_the_secret(capsys: pytest.CaptureFixture[str]) -> None:
    secret = "t" * 43
    assert authorize(asked_with(f"{ID}.{secret}"), find, NOW) == {"isAuthorized": False}

    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "level": "WARNING",
        "event": "refused",
        "request_id": "r-1",
        "key_id": ID,
        "reason": "wrong secret",
    }
    assert secret not in line


def test_what_was_malformed_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    authorize(asked_with(f"{KEY}x"), find, NOW)
    assert SECRET not in capsys.readouterr().out


def test_a_store_that_does_not_answer_is_an_error_and_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    def unavailable(key_id: str) -> Record | None:
        raise KeysUnavailable(f"{key_id}: throttled")

    with pytest.raises(KeysUnavailable):
        authorize(asked_with(KEY), unavailable, NOW)
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["event"], line["error"]) == ("ERROR", "keys_unavailable", f"{ID}: throttled")


def test_a_record_is_read() -> None:
    assert read_record(json.dumps(STORED)) == Record(SHA256, None)
    assert read_record(json.dumps(STORED | {"expires": "2026-07-31"})) == Record(SHA256, date(2026, 7, 31))


@pytest.mark.parametrize(
    "change",
    [
        *({"format": 2}, {"format": None}, {"sha256": None}, {"sha256": SHA256.upper()}, {"sha256": ""}),
        *({"expires": "tomorrow"}, {"expires": 20260731}, {"only_routes": ["/health"]}),
    ],
    ids=str,
)
def test_a_record_of_another_form_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        read_record(json.dumps(STORED | change))


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", SHA256])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected|Expecting|Extra data"):
        read_record(text)
