"""`features.toml`: what it may say about a model, and what the message is if it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from doubles import COLUMNS, FEATURES, IMAGE
from feature_scenes import plan_of
from pilotlight.errors import FormatError, SettingsError
from pilotlight.features.plan import load_plan, read_plan
from pilotlight.features.store import open_features
from pilotlight.model.signature import Signature

REDIS = "redis://localhost"
KEY = 'key = "flat:{flat_id}:{country}"'


def test_the_whole_file() -> None:
    more = ["[cache]", "entries = 5", "seconds = 1.5", "[time_to_live]", 'column = "at"', "seconds = 60"]
    plan = read_plan(plan_of(REDIS, KEY, 'budget_ms = 20\nlayout = "json"', more).encode(), COLUMNS)
    assert [(one.name, one.column, one.datatype.name, one.default) for one in plan.features] == [
        ("city", "city", "BYTES", None),
        ("rooms", "n_rooms", "INT64", 2),
    ]
    assert (plan.budget, plan.cache_entries, plan.cache_seconds, plan.time_to_live) == (0.02, 5, 1.5, 60)
    assert (plan.layout, plan.columns) == ("json", ("city", "n_rooms", "at"))
    assert [part.value({"flat_id": 7, "country": "de"}) for part in plan.key] == ["flat:7:de"]


def test_a_key_may_begin_and_end_with_a_field() -> None:
    plan = read_plan(plan_of(REDIS, 'key = "{flat_id}:{country}"').encode(), COLUMNS)
    assert [part.value({"flat_id": 7, "country": "de"}) for part in plan.key] == ["7:de"]


@pytest.mark.parametrize(
    ("found", "instead", "message"),
    [
        (REDIS, "mongodb://localhost", r'\$\.store: expected redis://.*, found "mongodb'),
        ("[entity]", "[entity", "not valid TOML"),
        ("[entity]", "size = 1\n[entity]", r"\$: unknown field 'size'"),
        ("{flat_id}:", "", r"\$\.key: \{flat_id\} is missing: without it two entities would share a key"),
        ("{flat_id}", "{flat}", r"\$\.key: \{flat\} is no field of \[entity\]"),
        ("{flat_id}", "{flat_id!r}", r"\$\.key: expected a template"),
        ("{flat_id}", "{flat_id.real}", r"\$\.key: expected a template"),
        (KEY, 'key = { flat_id = "{flat_id}{country}" }', r"\$\.key: expected a template"),
        ('"INT64"', '"FP32"', r"\$\.entity\.flat_id: expected one of INT64, BYTES"),
        ("city = {}", "town = {}", r'\$\.features\.town: the model has no feature "town"'),
        ("city = {}", "city = { default = 1 }", r"\$\.features\.city\.default: expected a string, found 1"),
        ("default = 2", "default = 2.5", r"\$\.features\.rooms\.default: expected a whole number"),
        ("default = 2", "default = nan", r"\$\.features\.rooms\.default"),
        ("default = 2", "default = [2]", r"\$\.features\.rooms\.default: expected a number, found an array"),
        ("[entity]", "budget_ms = 0\n[entity]", r"\$\.budget_ms: expected a whole number of at least 1"),
        ("[features]", "[cache]\nentries = 5\n[features]", r"\$\.cache: the field 'seconds' is missing"),
        ("[features]", "[cache]\nentries = 5\nseconds = 0\n[features]", r"\$\.cache\.seconds: expected more than 0"),
        ("city = {}\nrooms", "city = {}\n[other]\nrooms", r"\$: unknown field 'other'"),
    ],
)
def test_a_fault_has_its_place_and_what_was_expected(found: str, instead: str, message: str, tmp_path: Path) -> None:
    text = plan_of(REDIS, KEY)
    assert found in text
    (tmp_path / "features.toml").write_text(text.replace(found, instead))
    with pytest.raises(FormatError, match=rf"^features\.toml: .*{message}"):
        load_plan(tmp_path / "features.toml", COLUMNS)


@pytest.mark.parametrize(
    ("signature", "message"), [(IMAGE, "the model takes tensors"), (FEATURES, 'the model has no feature "city"')]
)
def test_the_features_are_those_of_the_model(signature: Signature, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_plan(plan_of(REDIS, KEY).encode(), signature)


def test_a_stores_url_has_variables_of_the_environment() -> None:
    plan = read_plan(plan_of("redis://:${PASSWORD}@${HOST}", KEY).encode(), COLUMNS)
    open_features(plan, {}, {"PASSWORD": "a", "HOST": "localhost"}).close()
    with pytest.raises(SettingsError, match="the environment variable HOST is not set"):
        open_features(plan, {}, {"PASSWORD": "a", "HOST": ""})


@pytest.mark.parametrize("url", ["redis://localhost:port", "redis://localhost/one", "redis:///0", "redis://a/0?b=1"])
def test_a_url_of_another_form_fails_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="expected redis://"):
        open_features(read_plan(plan_of(url, KEY).encode(), COLUMNS), {}, {})


def test_a_store_of_another_platform_fails_the_start() -> None:
    plan = read_plan(plan_of("dynamodb://flats", 'key = { id = "{flat_id}:{country}" }').encode(), COLUMNS)
    with pytest.raises(FormatError, match=r"this platform does not reach dynamodb://, expected redis:// or rediss://"):
        open_features(plan, {}, {})
