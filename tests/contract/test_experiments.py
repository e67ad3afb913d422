"""Two versions in one function, in each cloud's own runtime: who gets which, and what a broken one does."""

from __future__ import annotations

import json
import re
import shutil
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import drivers
import models
from drivers import Driver
from harness import Pinned, in_functions_framework, in_lambda, pinned, stored
from local_lock import copy_lock, rewrite
from pilotlight.errors import FormatError, PilotlightError
from pilotlight.experiments.assignment import bucket
from pilotlight.experiments.lock import FILE, load_experiment
from pilotlight_cli.aws.release import release_digest
from pilotlight_cli.experimenting.pin import Terms, TreatmentRefused, pin_treatment, state, stop
from pilotlight_cli.experimenting.tally import tally
from pilotlight_cli.local.events import http_api_event
from pilotlight_cli.local.process import Log
from pilotlight_cli.local.stores import EmbeddedStore, acting_in
from pilotlight_cli.local.verify import verify
from pilotlight_cli.staging import build
from pilotlight_cli.staging.sources import stage_sources
from pilotlight_cli.stores import open_store
from waiting import wait_until

UNITS = [f"user-{number}" for number in range(30)]
NAME = "classes"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[models.Trained], list[Pinned]]:
    """Two versions of a model that are trained on other points; the first is pinned, the second a treatment of half."""
    folder = tmp_path_factory.mktemp("pair")
    trained = [models.three_classes(tmp_path_factory.mktemp(f"seed-{seed}"), seed) for seed in (1, 2)]
    versions = [
        pinned(one.files["onnx"], NAME, folder, lock=name)
        for one, name in zip(trained, ("first", "second"), strict=True)
    ]
    terms = Terms(unit="header:x-user-id", salt="salt-1")
    pin_treatment(versions[0].store, f"{NAME}:2", versions[0].lock, 50, terms)
    return trained, versions


@pytest.fixture(scope="module")
def refused(pair: tuple[list[models.Trained], list[Pinned]], tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    """Return the pinned version without an experiment; its store has also what cannot be a treatment."""
    _, versions = pair
    rents = models.rents(tmp_path_factory.mktemp("rents"), seed=models.new_seed())
    for name in ("rents", NAME):
        pinned(rents.files["onnx"], name, versions[0].lock.parents[2], lock="refused")
    return Pinned(copy_lock(versions[0].lock, tmp_path_factory.mktemp("refused")), versions[0].store)


@contextmanager
def running(cloud: str, model: Pinned, store: EmbeddedStore) -> Iterator[tuple[Driver, Log]]:
    if cloud == "aws":
        with in_lambda(model, store) as runtime:
            yield drivers.lambda_function(runtime.invoke, http_api_event), runtime.log
    else:
        with in_functions_framework(model, store) as instance:
            yield drivers.http(instance.url), instance.log


def predict(send: Driver, instances: list[Any], **headers: str) -> tuple[str | None, list[Any]]:
    """Return the variant that answers, and its probabilities."""
    given = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    reply = send("POST", "/predict_batch", given, json.dumps({"instances": instances}).encode())
    assert reply.status == 200, reply.body
    document = json.loads(reply.body)
    variant = reply.headers.get("x-pilotlight-variant")
    assert document["model_version"] == (2 if variant == f"{NAME}:2" else 1)
    return variant, document["probabilities"]


def approx(rows: list[list[float]]) -> list[Any]:
    """Return rows of probabilities as a model in single precision answers them."""
    return [pytest.approx(row, abs=1e-5) for row in rows]


def health(send: Driver) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(send("GET", "/health", {}, b"").body)
    return document


def test_both_clouds_give_a_unit_the_same_variant_and_the_answers_of_its_model(
    cloud: str, pair: tuple[list[models.Trained], list[Pinned]]
) -> None:
    trained, versions = pair
    rows = trained[0].draw(20, 3).instances
    answers = {variant: one.answers_to(rows).probabilities for variant, one in zip((1, 2), trained, strict=True)}
    assert answers[1] != approx(answers[2])
    with stored(cloud, *versions) as store, running(cloud, versions[0], store) as (send, log):
        for unit in UNITS:
            treated = bucket("salt-1", unit) < 5000
            variant, found = predict(send, rows, x_user_id=unit)
            assert variant == (f"{NAME}:2" if treated else "control")
            assert found == approx(answers[2 if treated else 1])
        assert predict(send, rows)[0] == "control"
        assert predict(send, rows, x_pilotlight_variant=f"{NAME}:2")[1] == approx(answers[2])
        assert health(send)["variants"] == {f"{NAME}:2": "ready"}
        wait_until(lambda: len(log.events("request")) >= len(UNITS) + 3, limit=60)
    lines = log.events("request")[: len(UNITS)]
    variants = [f"{NAME}:2" if bucket("salt-1", unit) < 5000 else "control" for unit in UNITS]
    assert [(line["experiment"], line["variant"], line["assigned"]) for line in lines] == [
        ("salt-1", variant, variant) for variant in variants
    ]
    counted = tally(log.events("request"), load_experiment(versions[0].lock.with_name(FILE), versions[0].model))
    for each in counted.variants:
        units = {
            bucket("salt-1", unit) for unit in UNITS if (bucket("salt-1", unit) < 5000) != (each is counted.control)
        }
        assert (set(each.clusters), each.unusable, each.fallbacks) == (units, "", 0)
        labels = Counter(map(str, trained[each is not counted.control].answers_to(rows).predictions * len(units)))
        assert each.labels == labels
    (start,) = log.events("variant_start")
    assert (start["variant"], start["state"]) == (f"{NAME}:2", "ready")
    assert start["fetched_bytes"] == versions[1].model.files[0].size
    assert len(log.events("cold_start")) == 1


def test_a_treatment_with_other_bytes_never_takes_the_control_down(
    cloud: str, pair: tuple[list[models.Trained], list[Pinned]]
) -> None:
    trained, versions = pair
    rows = trained[0].draw(5, 3).instances
    expected = trained[0].answers_to(rows).probabilities
    with stored(cloud, *versions) as store:
        with acting_in(store.environ):
            target, key = open_store(store.url), f"{NAME}/2/model.onnx"
            target.replace(key, target.read(key)[:-1] + b"x")
        with running(cloud, versions[0], store) as (send, log):
            for unit in UNITS:
                assert predict(send, rows, x_user_id=unit) == ("control", approx(expected))
            wait_until(lambda: bool(log.events("variant_start")), limit=60)
            document = health(send)
            assert (document["status"], document["variants"]) == ("ready", {f"{NAME}:2": "failed"})
    assert "DigestMismatch" in log.events("variant_start")[0]["error"]
    treated = [line for line in log.events("request") if line.get("assigned") == f"{NAME}:2"]
    assert {line["variant"] for line in treated} == {"control"}


def test_a_claim_of_the_authorizer_is_the_unit_on_both_clouds(
    cloud: str, pair: tuple[list[models.Trained], list[Pinned]], tmp_path: Path
) -> None:
    _, versions = pair
    shutil.copytree(versions[0].lock.parent, tmp_path / "claims")
    model = Pinned(tmp_path / "claims" / "model.lock", versions[0].store)
    model.lock.with_name(FILE).unlink()
    pin_treatment(model.store, f"{NAME}:2", model.lock, 50, Terms(unit="claim:sub", salt="salt-1"))
    body = json.dumps({"features": [0.0, 0.0, 0.0, 0.0]}).encode()
    with stored(cloud, *versions) as store:
        for unit in UNITS[:1]:
            claims = {"sub": unit}
            if cloud == "aws":
                with in_lambda(model, store) as runtime:
                    event = {
                        "version": "2.0",
                        "rawPath": "/predict",
                        "headers": {},
                        "body": body.decode(),
                        "requestContext": {"http": {"method": "POST"}, "authorizer": {"jwt": {"claims": claims}}},
                    }
                    headers = runtime.invoke(event)["headers"]
            else:
                token = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
                with in_functions_framework(model, store) as instance:
                    sent = {"x-apigateway-api-userinfo": token}
                    headers = drivers.http(instance.url)("POST", "/predict", sent, body).headers
            assert headers["x-pilotlight-variant"] == (f"{NAME}:2" if bucket("salt-1", unit) < 5000 else "control")


@pytest.mark.parametrize(
    ("reference", "weight", "terms", "message"),
    [
        ("classes:2", 10, Terms(), "a new experiment requires --unit: header:NAME"),
        ("classes:2", 0, Terms(unit="request"), "--weight is 0; expected a percentage above 0"),
        ("classes:2", 0.001, Terms(unit="request"), "--weight is 0.001; expected a percentage above 0"),
        ("classes:2", 10, Terms(unit="header:X"), "--unit is 'header:X'; expected header:NAME in lower case"),
        ("classes:2", 10, Terms(unit="field:features"), "which is the model's own field"),
        ("classes:2", 10, Terms(unit="request", without_unit="random"), "no meaning with the unit request"),
        ("classes:2", 10, Terms(unit="request", end="tomorrow"), "--end is 'tomorrow'; expected a time in UTC"),
        (
            *("classes:2", 10),
            Terms(unit="request", start="2026-12-03T00:00:00Z", end="2026-12-02T00:00:00Z"),
            "the end is 2026-12-02T00:00:00Z; expected a time after the start",
        ),
        ("classes:1", 10, Terms(unit="request"), "classes:1 is no other version of classes:1"),
        ("rents:1", 10, Terms(unit="request"), "rents:1 is no other version of classes:1"),
        ("classes:3", 10, Terms(unit="request"), "classes:3 breaks callers of classes:1"),
    ],
)
def test_what_cannot_be_a_treatment_is_refused_and_nothing_is_written(
    reference: str, weight: float, terms: Terms, message: str, refused: Pinned
) -> None:
    with pytest.raises(PilotlightError) as caught:
        pin_treatment(refused.store, reference, refused.lock, weight, terms)
    assert message in str(caught.value)
    assert not refused.lock.with_name(FILE).exists()


def test_libraries_of_another_version_are_refused_at_pin(refused: Pinned, tmp_path: Path) -> None:
    lock = copy_lock(refused.lock, tmp_path)
    rewrite(lock, runtime=replace(refused.model.runtime, packages={"onnxruntime": "1.30.0"}))
    with pytest.raises(TreatmentRefused, match=r"classes:2 runs on .* pins .* onnxruntime 1.30.0: a function has one"):
        pin_treatment(refused.store, "classes:2", lock, 10, Terms(unit="request"))


def test_an_experiment_grows_keeps_its_terms_and_ends(refused: Pinned, tmp_path: Path) -> None:
    lock = copy_lock(refused.lock, tmp_path)
    terms = Terms(unit="header:x-user-id", without_unit="random", end="2027-01-01T00:00:00Z")
    first = pin_treatment(refused.store, "classes:2", lock, 10, terms)
    second = pin_treatment(refused.store, "classes:2", lock, 12.5, Terms())
    assert second.shares == {"control": "87.5", "classes:2": "12.5"}
    assert replace(second.experiment, treatments=first.experiment.treatments) == first.experiment
    with pytest.raises(TreatmentRefused, match=r"--unit is 'request', and the experiment has 'header:x-user-id'"):
        pin_treatment(refused.store, "classes:2", lock, 10, Terms(unit="request"))
    with pytest.raises(TreatmentRefused, match=r"has no treatment classes:3; it has classes:2"):
        stop(lock, "classes:3")
    assert stop(lock, "classes:2") is None
    assert state(lock) is None
    with pytest.raises(TreatmentRefused, match="no experiment at"):
        stop(lock)


def test_verify_loads_every_version_and_sends_each_its_own_samples(
    pair: tuple[list[models.Trained], list[Pinned]],
) -> None:
    _, versions = pair
    report = verify(versions[0].lock, versions[0].store.url, "gcp")
    found = {check.name: check.detail for check in report.checks}
    assert report.ok, report
    least = r"at least \d+ B"  # this store's versions were published without a measurement
    assert re.fullmatch(rf"2 versions: files of .*; memory alone: {NAME}:1 {least}, {NAME}:2 {least}", found[FILE])
    assert "have the pinned digests, ready in" in found[f"{NAME}:2"]
    assert found[f"{NAME}:2 sample 1"].endswith("row(s) agree")


def test_a_release_has_the_experiment_in_its_package_and_its_digest(
    pair: tuple[list[models.Trained], list[Pinned]], tmp_path: Path
) -> None:
    _, versions = pair
    template: dict[str, Any] = {"Resources": {"PredictFunction": {"Properties": {}}}}
    for cloud in ("aws", "gcp"):
        stage_sources(cloud, versions[0].lock, tmp_path / cloud)
        package = tmp_path / cloud
        assert (package / FILE).read_bytes() == versions[0].lock.with_name(FILE).read_bytes()
        assert (package / "pilotlight" / "experiments" / "variants.py").is_file()
        before = release_digest(template, package, {})
        (package / FILE).write_bytes(b"{}")
        assert release_digest(template, package, {}) != before
    stage_sources("aws", versions[0].lock, tmp_path / "records", "records")
    assert not (tmp_path / "records" / FILE).exists()


def test_a_package_with_an_experiment_about_another_pin_is_not_built(
    pair: tuple[list[models.Trained], list[Pinned]], tmp_path: Path
) -> None:
    _, versions = pair
    shutil.copytree(versions[1].lock.parent, tmp_path / "other")
    shutil.copyfile(versions[0].lock.with_name(FILE), tmp_path / "other" / FILE)
    with pytest.raises(FormatError, match=r"\$.control: the control is classes:1, and model.lock pins"):
        build("gcp", tmp_path / "other" / "model.lock", tmp_path / "build", lambda _: None)
