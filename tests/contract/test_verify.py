"""`verify` finds what differs from what was published and pinned."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_lock import copy_lock, fill_store, rewrite
from pilotlight.errors import PilotlightError, RuntimeMismatch
from pilotlight.model.lock import load_lock
from pilotlight_cli.local.verify import VerifyReport, cloud_of, verify
from pilotlight_cli.registry.digests import read_file_entry


def checks(report: VerifyReport) -> dict[str, tuple[bool, str]]:
    return {check.name: (check.ok, check.detail) for check in report.checks}


def test_verify_passes_what_was_published_and_pinned(cloud: str, lock: Path, store: str) -> None:
    report = verify(lock, store, cloud)
    found = checks(report)

    assert report.ok, report
    assert found["requirements.lock"][1].startswith("onnxruntime ")
    assert "have the pinned digests, ready in" in found["model"][1]
    assert found["sample 1"][1].endswith("row(s) agree")
    assert len(found) == 3 + len(json.loads(lock.with_name("golden.json").read_bytes())["samples"])


@pytest.mark.parametrize("name", ["requirements.lock", "golden.json"])
def test_verify_refuses_a_companion_that_was_altered(name: str, lock: Path, store: str, tmp_path: Path) -> None:
    altered = copy_lock(lock, tmp_path)
    with altered.with_name(name).open("a") as companion:
        companion.write(" ")

    found = checks(verify(altered, store))

    assert found.keys() == {"requirements.lock", "golden.json"}
    assert [check for check, (ok, _) in found.items() if not ok] == [name]
    assert "SHA-256" in found[name][1]


@pytest.mark.parametrize("name", ["requirements.lock", "golden.json"])
def test_verify_says_which_companion_is_missing(name: str, lock: Path, store: str, tmp_path: Path) -> None:
    altered = copy_lock(lock, tmp_path)
    altered.with_name(name).unlink()

    ok, detail = checks(verify(altered, store))[name]

    assert not ok
    assert "is missing; 'pilotlight pin' writes it" in detail


def test_verify_refuses_a_library_that_is_too_old(lock: Path, store: str, tmp_path: Path) -> None:
    altered = copy_lock(lock, tmp_path)
    rewrite(altered, runtime=replace(load_lock(lock).model.runtime, packages={"onnxruntime": "1.26.0"}))
    with pytest.raises(
        RuntimeMismatch, match=r"model\.lock: found onnxruntime 1\.26\.0, expected 1\.27\.0 or later; publish"
    ):
        verify(altered, store)


def with_other_golden(lock: Path, folder: Path, alter: Callable[[Any], None]) -> Path:
    """Return a lock whose golden samples were altered, their digest in the lock with them."""
    altered = copy_lock(lock, folder)
    golden = altered.with_name("golden.json")
    document = json.loads(golden.read_bytes())
    alter(document)
    golden.write_text(json.dumps(document))
    rewrite(altered, golden=read_file_entry(golden))
    return altered


def test_verify_fails_where_the_model_answers_otherwise(cloud: str, lock: Path, store: str, tmp_path: Path) -> None:
    def alter(document: Any) -> None:
        outputs = {output["name"]: output for output in document["samples"][0]["outputs"]}
        outputs["probabilities"]["data"][0] += 0.01

    report = verify(with_other_golden(lock, tmp_path, alter), store, cloud)
    ok, detail = checks(report)["sample 1"]

    assert not report.ok
    assert not ok
    assert detail.startswith("the response differs from the published one: output 'probabilities', value 0: found ")


def test_verify_tells_what_the_function_says_of_a_model_that_is_not_the_pinned_one(
    cloud: str, lock: Path, tmp_path: Path
) -> None:
    url = fill_store(tmp_path, lock)
    model = tmp_path / "breast-cancer/1/model.onnx"
    model.write_bytes(model.read_bytes()[:-1])

    report = verify(lock, url, cloud)
    ok, detail = checks(report)["model"]

    assert not ok
    assert "DigestMismatch: model.onnx" in detail


def test_verify_of_a_lock_that_is_not_there_is_an_error(tmp_path: Path, store: str) -> None:
    with pytest.raises(PilotlightError, match="no lock at"):
        verify(tmp_path / "model.lock", store)


def test_the_cloud_is_the_one_whose_store_it_is() -> None:
    assert [cloud_of(url) for url in ("s3://a", "gs://a", "file:///a")] == ["aws", "gcp", "aws"]
