"""The release digest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gcp.deploy.conftest import SETTINGS
from pilotlight_cli.gcp.release import release_digest
from pilotlight_cli.gcp.settings import GcpSettings, read_settings


@pytest.fixture
def settings(tmp_path: Path) -> GcpSettings:
    file = tmp_path / "gcp.toml"
    file.write_text(SETTINGS)
    return read_settings(file, "test")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "core").mkdir(parents=True)
    (folder / "main.py").write_text("one")
    (folder / "core" / "two.py").write_text("two")
    return folder


def test_the_same_package_with_the_same_settings_has_the_same_digest(settings: GcpSettings, package: Path) -> None:
    assert release_digest(settings, package) == release_digest(settings, package.rename(package.with_name("other")))


@pytest.mark.parametrize(
    "change",
    [
        {"memory": "1Gi"},
        {"cpu": 2},
        {"concurrency": 1},
        {"store": "gs://other"},
        {"service_account": "x@y"},
        {"variables": {"PILOTLIGHT_THREADS": "2"}},
        {"workers": 2},
        {"options": ("--timeout=300s",)},
    ],
)
def test_whatever_shapes_a_revision_changes_it(change: dict[str, object], settings: GcpSettings, package: Path) -> None:
    changed = replace(settings, **change)  # type: ignore[arg-type]
    assert release_digest(changed, package) != release_digest(settings, package)


def test_how_many_instances_there_are_and_how_traffic_moves_does_not(settings: GcpSettings, package: Path) -> None:
    changed = replace(settings, max_instances=9, plan=replace(settings.plan, seconds=1), environment="other")
    assert release_digest(changed, package) == release_digest(settings, package)


@pytest.mark.parametrize("name", ["main.py", "core/two.py", "new.py"])
def test_every_file_changes_it(name: str, settings: GcpSettings, package: Path) -> None:
    before = release_digest(settings, package)
    (package / name).write_text("three")
    assert release_digest(settings, package) != before
