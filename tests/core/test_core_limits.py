"""How many cores a process may keep busy: by its affinity, by the quotas of its control groups, by OpenMP."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tui_vae.core.core_limits import usable_cores
from tui_vae.core.devices import choose_threads, explain_threads

CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


@pytest.fixture(autouse=True)
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def system(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2 = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
V1 = """31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 {} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
"""


@pytest.mark.parametrize(
    ("own", "above", "cores", "group"),
    [("max 100000", "max 100000", 64, None), ("200000 100000", "max 100000", 2, "/jobs/7"),
     ("800000 100000", "300000 100000", 3, "/jobs"), ("50000 100000", "max 100000", 1, "/jobs/7"),
     ("250000 100000", "nonsense", 2, "/jobs/7")],
)  # fmt: skip
def test_the_quotas_of_nested_groups_of_version_2(
    tmp_path: Path, own: str, above: str, cores: int, group: str | None
) -> None:
    files = {"sys/fs/cgroup/jobs/7/cpu.max": own, "sys/fs/cgroup/jobs/cpu.max": above}
    limit = usable_cores(system(tmp_path, "0::/jobs/7\n", V2, files))
    assert limit.cores == cores
    assert limit.reason == (f"the CPU quota of control group {group}" if group else "all cores of the machine")


def test_a_quota_of_version_1(tmp_path: Path) -> None:
    place = "sys/fs/cgroup/cpu,cpuacct/slurm/job_7/"
    files = {place + "cpu.cfs_quota_us": "400000", place + "cpu.cfs_period_us": "100000",
             "sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us": "-1"}  # fmt: skip
    groups = "4:cpu,cpuacct:/slurm/job_7\n3:cpuset:/slurm\n0::/\n"
    limit = usable_cores(system(tmp_path, groups, V1.format("/"), files))
    assert limit == (4, "the CPU quota of control group /slurm/job_7")


def test_a_container_that_sees_only_its_own_part_of_the_tree(tmp_path: Path) -> None:
    """Docker, version 1: the paths are those of the host, and only the container's own group is mounted."""
    files = {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000",
             "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "50000"}  # fmt: skip
    for groups in ("4:cpu,cpuacct:/docker/abc\n", "4:cpu,cpuacct:/\n", "4:cpu,cpuacct:/../abc\n"):
        limit = usable_cores(system(tmp_path, groups, V1.format("/docker/abc"), files))
        assert limit == (3, "the CPU quota of control group /docker/abc")


def test_affinity_and_openmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = tmp_path / "nothing"
    assert usable_cores(nothing).reason == "all cores of the machine"
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5, 9}, raising=False)
    assert usable_cores(nothing) == (3, "this process's affinity (taskset, cpuset)")
    monkeypatch.setattr("tui_vae.core.devices.usable_cores", lambda: usable_cores(nothing))
    assert choose_threads(None) == 3
    assert explain_threads() == "CPU threads: 3 (this process's affinity (taskset, cpuset))"
    for text, threads in (("2", 2), ("1,4", 1), ("16", 3), ("0", 3), ("many", 3), ("", 3)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert choose_threads(None) == threads
        assert choose_threads(6) == 6
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert explain_threads() == "CPU threads: 2 (OMP_NUM_THREADS)"


@pytest.mark.skipif(not os.access(CGROUP_V1, os.W_OK), reason="no control group can be made here")
def test_a_real_process_in_a_real_group() -> None:
    group = CGROUP_V1 / f"tui-vae-test-{os.getpid()}" / "inner"
    group.mkdir(parents=True)
    code = "import sys; sys.stdin.read(); from tui_vae.core.core_limits import usable_cores; print(*usable_cores())"
    try:
        (group.parent / "cpu.cfs_period_us").write_text("100000")
        (group.parent / "cpu.cfs_quota_us").write_text("100000")
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            (group / "cgroup.procs").write_text(str(process.pid))
            out, _ = process.communicate()
        assert out.strip() in (f"1 the CPU quota of control group /{group.parent.name}", "1 all cores of the machine")
    finally:
        for folder in (group, group.parent):
            with suppress(OSError):
                folder.rmdir()
