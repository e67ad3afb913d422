"""`pilotlight upgrade`: the copied files of an older release become this one's, and edits stay."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import pilotlight
from pilotlight.errors import FormatError
from pilotlight_cli.main import app
from pilotlight_cli.project.folders import CLOUDS, read_project
from pilotlight_cli.project.init import create
from pilotlight_cli.project.record import FILE, git_id, made_by, read_record, write_record
from pilotlight_cli.project.starter import copied
from pilotlight_cli.project.upgrade import apply_upgrade, plan_files

NOW, THEN = pilotlight.__version__, "0.0.9"

_GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project that this release wrote, as the current folder."""
    folder = tmp_path / "tumours"
    create(folder, "tumours", CLOUDS, "github")
    monkeypatch.chdir(folder)
    return folder


def age(root: Path, changes: Mapping[str, str | None]) -> None:
    """Make a project one of an older release, in which these files were different, or did not exist."""
    record = read_record(root)
    assert record is not None
    files = dict(record.files)
    for path, text in changes.items():
        if text is None:
            del files[path]
            (root / path).unlink()
        else:
            files[path] = git_id(text.encode())
            (root / path).write_text(text)
    write_record(root, replace(record, release=THEN, files=files))


def commit(root: Path) -> None:
    for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "first")):
        subprocess.run([*_GIT, *arguments], cwd=root, check=True, capture_output=True)


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["upgrade", *arguments])
    assert result.exit_code == code, result.output
    return result


def steps(text: str) -> dict[str, str]:
    """Return what happens to each file, from the table."""
    lines = text.splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("file "))
    return dict(" ".join(line.split()).partition(" ")[::2] for line in lines[header + 1 :])


def edit(path: Path, old: str, new: str) -> str:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path.read_text()


def test_a_project_of_this_release_has_nothing_to_upgrade(root: Path) -> None:
    edit(root / "gcp.toml", 'project = ""', 'project = "my-project"')
    assert run("--yes").stdout == f"No change: the files are those of Pilotlight {NOW}\n"


def test_files_that_nobody_edited_are_replaced_added_and_removed(root: Path) -> None:
    makefile, readme = ((root / name).read_text() for name in ("Makefile", "README.md"))
    age(root, {"Makefile": "run:\n\techo\n", "README.md": None})
    record = read_record(root)
    assert record is not None
    write_record(root, replace(record, files={**record.files, "old.sh": git_id(b"old\n")}))
    (root / "old.sh").write_text("old\n")

    text = run("--yes").stdout
    assert steps(text) == {"Makefile": "replace", "README.md": "add", "old.sh": "remove"}
    assert f"--- Makefile ({THEN})\n+++ Makefile ({NOW})\n" in text
    assert "--- /dev/null\n+++ README.md\n" in text
    assert "--- old.sh\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n" in text
    assert ((root / "Makefile").read_text(), (root / "README.md").read_text()) == (makefile, readme)
    assert not (root / "old.sh").exists()
    after = read_record(root)
    assert after is not None
    assert after.release == NOW
    assert after.files == {path: git_id(content) for path, content in copied(read_project(root), "github").items()}
    assert "No change" in run("--yes").stdout


def test_edits_are_merged_with_what_git_has_of_the_original(root: Path) -> None:
    requirements = (root / "requirements.txt").read_text()
    age(root, {"requirements.txt": requirements.replace(NOW, THEN)})
    commit(root)
    with (root / "requirements.txt").open("a") as file:
        file.write("pandas\n")
    text = run("--yes").stdout
    assert steps(text) == {"requirements.txt": "merge with your edits"}
    assert "pandas" not in text, "the diff is the release's change"
    assert (root / "requirements.txt").read_text() == requirements + "pandas\n"
    assert NOW in requirements


def test_conflicts_are_marked_and_listed_and_fail(root: Path) -> None:
    requirements = root / "requirements.txt"
    age(root, {"requirements.txt": requirements.read_text().replace(NOW, THEN)})
    commit(root)
    edit(requirements, THEN, "0.0.10")
    error = run("--yes", code=1).stderr
    assert "error: requirements.txt has conflicts between your edits and the release's" in error
    lines = requirements.read_text().splitlines()
    assert lines[:5] == [
        "<<<<<<< yours",
        "pilotlight[local]==0.0.10",
        "=======",
        f"pilotlight[local]=={NOW}",
        f">>>>>>> {NOW}",
    ]


def test_without_the_original_the_new_file_is_written_beside(root: Path) -> None:
    settings = (root / "gcp.toml").read_text()
    age(root, {"gcp.toml": settings.replace("concurrency = 8", "concurrency = 4")})
    mine = edit(root / "gcp.toml", 'project = ""', 'project = "my-project"')
    error = run("--yes", code=1).stderr
    assert "error: gcp.toml was edited and is unchanged; merge gcp.toml.new into it, and delete that file" in error
    assert ((root / "gcp.toml").read_text(), (root / "gcp.toml.new").read_text()) == (mine, settings)


def test_a_new_file_that_waits_is_not_overwritten(root: Path) -> None:
    age(root, {"gcp.toml": "old\n"})
    (root / "gcp.toml").write_text("mine\n")
    (root / "gcp.toml.new").write_text("waits\n")
    assert "gcp.toml.new exists; merge it into gcp.toml and delete it" in run("--yes", code=2).stderr
    assert (root / "gcp.toml.new").read_text() == "waits\n"
    assert made_by(root) == THEN


def test_the_next_upgrade_knows_the_original_of_a_merged_file(root: Path) -> None:
    settings = (root / "gcp.toml").read_text()
    age(root, {"gcp.toml": settings.replace("concurrency = 8", "concurrency = 4")})
    edit(root / "gcp.toml", 'project = ""', 'project = "my-project"')
    run("--yes", code=1)
    edit(root / "gcp.toml", "concurrency = 4", "concurrency = 8")
    (root / "gcp.toml.new").unlink()

    record = read_record(root)
    assert record is not None
    assert record.originals == {"gcp.toml": settings}
    files = copied(read_project(root), "github")
    files["gcp.toml"] = settings.replace("cpu = 1", "cpu = 2").encode()
    upgrade = plan_files(root, record, files, "99.0.0")
    assert [(step.path, step.kind) for step in upgrade.steps] == [("gcp.toml", "merge")]
    apply_upgrade(upgrade)
    assert (root / "gcp.toml").read_text() == (
        settings.replace("cpu = 1", "cpu = 2").replace('project = ""', 'project = "my-project"')
    )


def test_originals_stay_while_the_release_leaves_their_file_alone(root: Path) -> None:
    record = read_record(root)
    assert record is not None
    known = replace(record, originals={"gcp.toml": (root / "gcp.toml").read_text(), "gone": "text"})
    planned = plan_files(
        root, replace(known, files={**known.files, "gone": "a" * 40}), copied(read_project(root), "github"), NOW
    )
    assert planned.record.originals.keys() == {"gcp.toml"}


def test_what_the_user_deleted_is_not_restored(root: Path) -> None:
    age(root, {"README.md": "old\n"})
    (root / "README.md").unlink()
    assert "No change" in run("--yes").stdout
    assert not (root / "README.md").exists()
    assert made_by(root) == NOW


def test_an_edited_file_that_the_release_does_not_have_is_kept(root: Path) -> None:
    record = read_record(root)
    assert record is not None
    write_record(root, replace(record, files={**record.files, "old.sh": git_id(b"old\n")}))
    (root / "old.sh").write_text("mine\n")
    assert steps(run("--yes").stdout) == {"old.sh": "keep: it is edited, or not a regular file"}
    assert (root / "old.sh").read_text() == "mine\n"


def test_a_link_is_not_written_through(root: Path, tmp_path: Path) -> None:
    age(root, {"Makefile": "old\n"})
    (root / "Makefile").rename(tmp_path / "Makefile")
    (root / "Makefile").symlink_to(tmp_path / "Makefile")
    assert steps(run("--yes").stdout) == {"Makefile": "keep: it is edited, or not a regular file"}
    assert (tmp_path / "Makefile").read_text() == "old\n"


def test_a_cloud_taken_out_of_the_project_takes_its_files_along(root: Path) -> None:
    edit(root / "pilotlight.toml", '["aws", "gcp"]', '["aws"]')
    edit(root / "gcp.toml", 'project = ""', 'project = "my-project"')
    found = steps(run("--yes").stdout)
    assert found.pop("gcp.toml").startswith("keep")
    assert found["deploy/gcp/setup.sh"] == "remove"
    assert not (root / ".github/workflows/deploy-gcp.yml").exists()
    assert (root / ".github/workflows/deploy-aws.yml").exists()


def test_a_dry_run_changes_nothing(root: Path) -> None:
    age(root, {"Makefile": "old\n"})
    before = (root / FILE).read_bytes()
    assert steps(run("--dry-run").stdout) == {"Makefile": "replace"}
    assert ((root / "Makefile").read_text(), (root / FILE).read_bytes()) == ("old\n", before)


def test_nobody_to_ask_is_wrong_usage(root: Path) -> None:
    age(root, {"Makefile": "old\n"})
    assert f"Upgrade the project to Pilotlight {NOW}? This is not a terminal: add --yes" in run(code=2).stderr
    assert (root / "Makefile").read_text() == "old\n"


def test_a_project_that_init_did_not_write_has_nothing_to_upgrade(root: Path) -> None:
    (root / FILE).unlink()
    assert "has no .pilotlight.json, in which 'pilotlight init' records the files" in run(code=2).stderr


def test_a_project_of_a_newer_release_is_refused(root: Path) -> None:
    document = json.loads((root / FILE).read_text())
    (root / FILE).write_text(json.dumps(document | {"release": "99.0.0", "unknown": 1}))
    error = run(code=2).stderr
    assert f"is a project of Pilotlight 99.0.0, this is {NOW}; upgrade with 'pip install --upgrade" in error


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", "a//b"])
def test_a_record_names_files_of_the_project_only(root: Path, path: str) -> None:
    document = json.loads((root / FILE).read_text())
    (root / FILE).write_text(json.dumps(document | {"files": {path: "a" * 40}}))
    with pytest.raises(
        FormatError, match=r"^\.pilotlight\.json: \$\.files: expected the path of a file in the project"
    ):
        read_record(root)
