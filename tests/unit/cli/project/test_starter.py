"""The files that a project gets: for its clouds, with its name, and nothing that is for others."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import pilotlight
from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws.environments import read_environment
from pilotlight_cli.project.folders import CLOUDS
from pilotlight_cli.project.starter import model_settings, rendered, write_file

WORKFLOWS = ".github/workflows"
OF_CLOUD = {
    "aws": {
        "template.yaml",
        "bootstrap.yaml",
        "samconfig.toml",
        "functions/aws/Makefile",
        "deploy/aws/batch.yaml",
        "deploy/aws/judge.yaml",
        "deploy/aws/managed-instances.yaml",
        "deploy/aws/monitoring.yaml",
        "deploy/aws/release-alarms.yaml",
        "deploy/aws/smoke.sh",
        "deploy/aws/streams.yaml",
        f"{WORKFLOWS}/deploy-aws.yml",
    },
    "gcp": {
        "gcp.toml",
        f"{WORKFLOWS}/deploy-gcp.yml",
        *(path.relative_to(ROOT).as_posix() for path in (ROOT / "deploy/gcp").rglob("*.*")),
    },
}
OF_BOTH = {
    ".gitattributes",
    ".gitignore",
    "Makefile",
    "README.md",
    "requirements.txt",
    "tests/test_model.py",
    f"{WORKFLOWS}/check.yml",
    f"{WORKFLOWS}/summary.yml",
}


@pytest.mark.parametrize("clouds", [("aws",), ("gcp",), CLOUDS], ids="-".join)
def test_a_project_gets_the_files_of_its_clouds_and_of_no_other(clouds: tuple[str, ...]) -> None:
    expected = OF_BOTH.union(*(OF_CLOUD[cloud] for cloud in clouds))
    assert set(rendered("tumours", clouds, "github")) == expected
    without = {path for path in expected if not path.startswith(WORKFLOWS)}
    assert set(rendered("tumours", clouds, "none")) == without


@pytest.mark.parametrize(("cloud", "word"), [("aws", "Google|gcp"), ("gcp", "AWS|aws|Docker")])
@pytest.mark.parametrize("path", ["Makefile", "README.md"])
def test_a_project_for_one_cloud_does_not_mention_the_other(cloud: str, word: str, path: str) -> None:
    both, one = (rendered("tumours", clouds, "github")[path].decode() for clouds in (CLOUDS, (cloud,)))
    assert re.search(word, both)
    assert not re.search(word, one)


def test_no_mark_of_the_starter_is_left_in_a_project() -> None:
    for path, content in rendered("tumours", CLOUDS, "github").items():
        assert not re.search(rb"(?<!\$)\{\{", content), path


def test_a_readme_has_a_chapter_on_ci_if_there_are_workflows() -> None:
    assert ["## CI" in rendered("tumours", CLOUDS, ci)["README.md"].decode() for ci in ("github", "none")] == [
        True,
        False,
    ]


def test_lines_of_the_readme_fit_whatever_the_name() -> None:
    for line in rendered("n" * 32, CLOUDS, "github")["README.md"].decode().splitlines():
        assert len(line) <= 100 or line.startswith("|"), line


def test_a_project_installs_the_release_that_wrote_it() -> None:
    first = rendered("tumours", CLOUDS, "none")["requirements.txt"].decode().splitlines()[0]
    assert first == f"pilotlight[local]=={pilotlight.__version__}"


def test_stacks_and_functions_have_the_name_and_everything_else_is_as_in_the_tool(tmp_path: Path) -> None:
    settings = model_settings("tumours", CLOUDS)
    (tmp_path / "samconfig.toml").write_bytes(settings["samconfig.toml"])
    for environment in ("dev", "staging", "prod"):
        assert read_environment(environment, tmp_path / "samconfig.toml").stack == f"tumours-{environment}"
    functions = [table["function"] for table in tomllib.loads(settings["gcp.toml"].decode()).values()]
    assert functions == ["tumours-dev", "tumours-staging", "tumours"]
    for file, content in settings.items():
        own, tools = content.decode().splitlines(), (ROOT / file).read_text().splitlines()
        changed = {after for after, before in zip(own, tools, strict=True) if after != before}
        assert all(re.match("stack_name|s3_prefix|function", line) for line in changed)
        assert changed


def test_scripts_can_be_run(tmp_path: Path) -> None:
    for path, content in rendered("tumours", CLOUDS, "github").items():
        write_file(tmp_path / path, content)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.stat().st_mode & 0o111}
    scripts = {path for path in found if (tmp_path / path).is_file()}
    assert scripts == {
        "deploy/aws/smoke.sh",
        "deploy/gcp/setup.sh",
        "deploy/gcp/records.sh",
        "deploy/gcp/monitoring/apply.sh",
    }


def dry_run(folder: Path, *arguments: str) -> tuple[str, str]:
    """Return what make in a new project would run, and what it says on stderr."""
    (folder / "Makefile").write_bytes(rendered("tumours", CLOUDS, "none")["Makefile"])
    command = ["make", "--dry-run", "--old-file=.venv/.done", *arguments]
    environ = {"PATH": os.environ["PATH"]}  # without what a make around this test says
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


@pytest.mark.parametrize("target", ["run", "test", "build", "status", "invoke", "deploy-aws", "deploy-gcp"])
def test_a_command_of_make_is_one_line_and_takes_the_model(target: str, tmp_path: Path) -> None:
    (line,) = dry_run(tmp_path, target, "MODEL=second", "ENV=dev")[0].splitlines()
    assert ("--model 'second'" in line) == (target not in ("test", "status"))
    assert ("--env 'dev'" in line) == target.startswith("deploy")


def test_a_deployment_without_an_environment_is_refused(tmp_path: Path) -> None:
    assert "ENV is missing: make deploy-aws ENV=dev" in dry_run(tmp_path, "deploy-aws")[1]
