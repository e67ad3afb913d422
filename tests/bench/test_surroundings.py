"""Quotas and the file cache: what the contestants start under."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import file_cache
import quota
from conditions import ALL, COLD, Condition
from plans import Starts
from quota import QuotaError, limited, refusal

needs_quota = pytest.mark.skipif(bool(refusal()), reason=f"no quota on this machine: {refusal()}")


def group_of(pid: int) -> str:
    return next(line for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if "pilotlight-bench" in line)


@needs_quota
def test_a_process_and_what_it_starts_share_a_quota() -> None:
    with limited(0.5) as admit:
        code = "import subprocess; input(); subprocess.run(['cat', '/proc/self/cgroup'])"
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            admit(process.pid)
            group = group_of(process.pid)
            printed, _ = process.communicate("\n")
    assert group in printed


@needs_quota
def test_a_group_is_gone_when_its_processes_are() -> None:
    def folders(name: str) -> list[Path]:
        groups = Path("/sys/fs/cgroup")
        return [folder for folder in (groups / name, groups / "cpu" / name) if folder.is_dir()]

    with (
        limited(1) as admit,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as process,
    ):
        admit(process.pid)
        name = group_of(process.pid).rpartition("/")[2]
        assert folders(name)
        process.communicate("\n")
    assert not folders(name)


def test_no_quota_takes_no_group() -> None:
    with limited(None, Path("/nowhere")) as admit:
        admit(1)


def test_a_machine_without_control_groups_says_so(tmp_path: Path) -> None:
    with pytest.raises(QuotaError, match="a quota needs root"), limited(1, tmp_path / "none"):
        pass
    assert "a quota needs root" in refusal(tmp_path / "none")


def test_conditions_that_a_machine_does_not_allow_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "refusal", lambda: "no")

    assert Starts(dict.fromkeys(ALL, 1), traces=1, seconds=1).possible().keys() == {ALL[0], COLD}


def test_conditions_have_names_of_their_own() -> None:
    assert len({each.name for each in ALL}) == len(ALL)
    assert Condition(0.5, cold=True).title == "0.5 CPUs, cold file cache"
    assert Condition(1, cold=False).lambda_memory == 1769


def test_who_may_drop_the_whole_cache_does(tmp_path: Path) -> None:
    switch = tmp_path / "drop_caches"
    switch.touch()

    file_cache.drop([], switch)

    assert switch.read_text() == "3"


def test_who_may_not_asks_for_each_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/file").write_bytes(b"x" * 4096)

    file_cache.drop([tmp_path], tmp_path / "none/drop_caches")

    assert (tmp_path / "deep/file").read_bytes() == b"x" * 4096
    assert "posix_fadvise" in file_cache.how(tmp_path / "none/drop_caches")
