"""Requirements are resolved for the functions' Python, with hashes, and tell nothing of the machine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from fakes.package_index import PackageIndex
from pilotlight_cli.assets import ROOT
from pilotlight_cli.pinning.requirements import (
    OLDEST_PYTHON,
    PLATFORM_LOCK,
    ResolverFailed,
    Unresolvable,
    pins,
    resolve_pins,
)


def test_what_is_wanted_and_what_it_needs_is_pinned_with_hashes(index: PackageIndex) -> None:
    text = resolve_pins(["onnxruntime==1.31.1"], header="# Ours.\n")

    assert pins(text) == {"numpy": "2.4.6", "onnxruntime": "1.31.1"}
    assert text.startswith("# Ours.\nnumpy==2.4.6")
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) == 2


def test_the_text_names_neither_an_index_nor_a_path(index: PackageIndex, tmp_path: Path) -> None:
    text = resolve_pins(["onnxruntime==1.31.1"])
    assert not re.search(r"127\.0\.0\.1|://|index|find-links|/", text)


def test_wheels_are_those_of_the_functions_python_and_platform(index: PackageIndex) -> None:
    index.add("numpy", "2.4.7", tag="cp311-cp311-manylinux_2_28_x86_64")
    index.add("numpy", "2.4.8", tag="cp313-cp313-macosx_14_0_arm64")
    index.add("numpy", "2.4.9", tag="cp313-cp313-manylinux_2_39_x86_64")
    assert pins(resolve_pins(["onnxruntime"]))["numpy"] == "2.4.6"


def test_a_version_that_the_developer_s_python_runs_too_is_preferred(index: PackageIndex) -> None:
    index.add("numpy", "2.5.0", python=">=3.12")
    assert pins(resolve_pins(["onnxruntime"]))["numpy"] == "2.4.6"


def test_a_model_that_needs_a_newer_python_than_the_developer_s_is_pinned_all_the_same(index: PackageIndex) -> None:
    index.add("numpy", "2.5.0", python=">=3.12")
    assert pins(resolve_pins(["numpy==2.5.0"])) == {"numpy": "2.5.0"}


def test_a_release_keeps_what_was_pinned_before_unless_it_is_to_upgrade(index: PackageIndex) -> None:
    before = resolve_pins(["onnxruntime==1.31.1"])
    index.add("numpy", "2.4.7")

    assert resolve_pins(["onnxruntime==1.31.1"], previous=before) == before
    assert pins(resolve_pins(["onnxruntime==1.31.1"], previous=before, upgrade=True))["numpy"] == "2.4.7"
    assert pins(resolve_pins(["onnxruntime==1.31.1", "numpy==2.4.7"], previous=before))["numpy"] == "2.4.7"


def test_a_shared_package_has_the_version_of_the_constraints(index: PackageIndex, tmp_path: Path) -> None:
    index.add("numpy", "2.4.7")
    shared = tmp_path / "shared.txt"
    shared.write_text("numpy==2.4.6\nrequests==2.34.2\n")
    assert pins(resolve_pins(["onnxruntime"], constraints=[shared])) == {"numpy": "2.4.6", "onnxruntime": "1.31.1"}


def test_a_library_without_wheels_for_the_functions_python_is_named(index: PackageIndex) -> None:
    index.add("numpy", "1.26.4", tag="cp312-cp312-manylinux_2_17_x86_64")
    with pytest.raises(Unresolvable) as raised:
        resolve_pins(["numpy==1.26.4"])
    message = str(raised.value)
    assert message.startswith(
        "numpy==1.26.4 cannot be installed for the functions' Python 3.13 on x86_64-manylinux_2_28: "
    )
    assert "numpy==1.26.4 has no wheels with a matching" in message
    assert message.endswith("Save the model again with versions that have wheels for Python 3.13, and publish that")


def test_libraries_that_exclude_each_other_are_named(index: PackageIndex) -> None:
    index.add("scikit-learn", "1.3.2", "numpy<2")
    with pytest.raises(Unresolvable, match="numpy<2 and you require numpy==2.4.6"):
        resolve_pins(["numpy==2.4.6", "scikit-learn==1.3.2"])


@pytest.mark.parametrize(
    ("setting", "said"),
    [(("UV_OFFLINE", "1"), "network was disabled"), (("UV_DEFAULT_INDEX", "http://127.0.0.1:1/"), "Failed to fetch")],
)
def test_no_answer_is_not_taken_for_one(
    index: PackageIndex, monkeypatch: pytest.MonkeyPatch, setting: tuple[str, str], said: str
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv(*setting)
    with pytest.raises(ResolverFailed, match=rf"(?s)^uv could not resolve numpy==2\.4\.6:\n.*{said}"):
        resolve_pins(["numpy==2.4.6"])


def test_the_platform_s_own_lock_pins_what_it_asks_for_and_names_no_host() -> None:
    text = PLATFORM_LOCK.read_text()
    pinned = pins(text)
    assert set(PLATFORM_LOCK.with_name("requirements.in").read_text().split()) <= pinned.keys()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[^ ]+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines)


def test_the_oldest_python_is_the_one_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={OLDEST_PYTHON}"
