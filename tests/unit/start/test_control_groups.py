from __future__ import annotations

from pathlib import Path

import pytest

from pilotlight.start.machine import UNBOUNDED, here, visible_processors

MEMINFO = "MemTotal:        4096 kB\nMemFree:          512 kB\nMemAvailable:    2048 kB\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    """Return a file system with those files below it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_limits_a_process_has_what_its_machine_has(tmp_path: Path) -> None:
    found = here(tree(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n"}))
    assert (found.processors, found.memory, found.free) == (visible_processors(), 4096 << 10, 2048 << 10)


def test_what_cannot_be_read_is_no_limit(tmp_path: Path) -> None:
    found = here(tmp_path)
    assert (found.processors, found.memory, found.free) == (visible_processors(), UNBOUNDED, UNBOUNDED)


def test_a_quota_of_a_control_group_is_rounded_down_to_whole_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    quotas = {"max 100000": 8, "350000 100000": 3, "150000 100000": 1, "50000 100000": 1}
    for number, (quota, processors) in enumerate(quotas.items()):
        files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{quota}\n"}
        assert here(tree(tmp_path / str(number), files)).processors == processors


def test_the_smallest_quota_between_the_root_and_its_own_group_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    files = {
        "proc/self/cgroup": "0::/outer/inner\n",
        "sys/fs/cgroup/outer/cpu.max": "200000 100000\n",
        "sys/fs/cgroup/outer/inner/cpu.max": "400000 100000\n",
    }
    assert here(tree(tmp_path, files)).processors == 2


def test_the_older_form_of_control_groups_is_read_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "5:cpu,cpuacct:/a\n4:memory:/b\n1:name=systemd:/\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "250000\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "100\n",
        "sys/fs/cgroup/memory/b/memory.limit_in_bytes": "1000\n",
        "sys/fs/cgroup/memory/b/memory.usage_in_bytes": "700\n",
        "sys/fs/cgroup/memory/b/memory.stat": "inactive_file 9\ntotal_inactive_file 40\ntotal_active_file 60\n",
    }
    found = here(tree(tmp_path, files))
    assert (found.processors, found.memory, found.free) == (2, 1000, 400)


def test_files_in_the_cache_of_a_group_count_as_free(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": "1000\n",
        "sys/fs/cgroup/memory.current": "900\n",
        "sys/fs/cgroup/memory.stat": "anon 500\ninactive_file 300\nactive_file 100\n",
    }
    found = here(tree(tmp_path, files), disk_is_memory=True)
    assert (found.memory, found.free, found.disk_is_memory) == (1000, 500, True)


def test_this_machine_has_a_processor_and_memory() -> None:
    found = here()
    assert 1 <= found.processors <= visible_processors()
    assert 0 < found.free <= found.memory
