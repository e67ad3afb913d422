"""What GitHub runs: the same commands as on a developer's machine, by actions that nobody can swap, without keys."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilotlight_cli.assets import ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
TEXTS = {file.stem: file.read_text() for file in FILES}
JOBS: dict[str, dict[str, Any]] = {name: yaml.safe_load(text)["jobs"] for name, text in TEXTS.items()}
PINNED = TEXTS | {
    f"starter/{file.stem}": file.read_text() for file in (ROOT / "starter").glob("github/workflows/*.yml")
}


def commands(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("name", PINNED)
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(name: str) -> None:
    used = re.findall(r"uses: (.*)", PINNED[name])
    assert used
    for action in used:
        assert action.startswith("./") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


def test_one_action_has_one_commit() -> None:
    found = set(re.findall(r"uses: ([^.\s][^@]*)@(\S+)", "".join(PINNED.values())))
    assert len(found) == len({action for action, _ in found})


def test_a_pull_request_is_checked_by_what_a_developer_runs() -> None:
    assert [commands(job) for job in JOBS["check"].values()] == [[".ci/run"]]


def test_nothing_may_write_and_nothing_has_a_secret() -> None:
    for name, text in TEXTS.items():
        assert yaml.safe_load(text)["permissions"] == {"contents": "read"}, name
    assert "secrets." not in "".join(TEXTS.values())


def test_a_release_is_published_only_after_the_checks_and_as_the_files_that_were_checked() -> None:
    publish = JOBS["release"]["publish"]
    assert set(publish["needs"]) == {"check", "build"}
    assert JOBS["release"]["check"]["uses"] == "./.github/workflows/check.yml"
    assert commands(JOBS["release"]["build"])[:2] == ["make dist", 'tools/check_release.sh "$GITHUB_REF_NAME"']
    made, compared, *_, published = publish["steps"][2:]
    assert made["run"] == "make dist"
    assert compared["env"] == {"CHECKED": "${{ needs.build.outputs.digest }}"}
    assert published["run"] == ".venv/bin/uv publish --trusted-publishing always"


def test_a_file_that_differs_from_the_checked_one_ends_the_release(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    wheel, outputs = tmp_path / "dist/a.whl", tmp_path / "outputs"
    wheel.write_text("checked")
    record, compare = commands(JOBS["release"]["build"])[2], commands(JOBS["release"]["publish"])[1]
    run(record, tmp_path, GITHUB_OUTPUT=str(outputs))
    name, _, digest = outputs.read_text().strip().partition("=")
    assert name == "digest"
    assert run(compare, tmp_path, CHECKED=digest) == 0
    wheel.write_text("another")
    assert run(compare, tmp_path, CHECKED=digest) == 1


def run(step: str, folder: Path, **environ: str) -> int:
    """Return how a step ends."""
    return subprocess.run(["bash", "-ec", step], cwd=folder, env=os.environ | environ, check=False).returncode


def test_only_the_job_that_publishes_has_an_identity_and_an_environment() -> None:
    jobs = JOBS["release"]
    assert {name for name, job in jobs.items() if "permissions" in job or "environment" in job} == {"publish"}
    assert jobs["publish"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert jobs["publish"]["environment"] == "pypi"


def test_a_commit_is_checked_by_what_a_developer_runs() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"  # any other has versions of its own
    assert [hook["entry"] for hook in repository["hooks"]] == ["make check"]


def test_dependabot_looks_where_something_is_pinned() -> None:
    pinned = {
        "github-actions": ".github/workflows",
        "uv": "uv.lock",
        "pip": "tools/bootstrap.txt",
        "npm": "tools/axe/package-lock.json",
    }
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    assert {update["package-ecosystem"] for update in updates} == set(pinned)
    for update in updates:
        path = ROOT / pinned[update["package-ecosystem"]]
        assert path.exists()
        assert path.is_relative_to(ROOT / update["directory"].strip("/"))
