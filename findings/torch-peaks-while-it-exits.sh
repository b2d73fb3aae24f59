#!/usr/bin/env bash
# A Python process that has imported torch reaches its peak memory while it ends: leaving reads a quarter more of it than importing.
#
# Seen with torch 2.14.1 (the build with CUDA 13.0, on a machine without a GPU) and numpy 2.4.6, Python 3.11, Linux, on
# 29 November 2026, from /proc/self/status and the `ru_maxrss` that wait4 gives of the ended process.
#
# Guess before it was run: a process's peak is reached by the import and the work; an orderly end only gives memory back.
#
# What it does: with `import torch` and one small product a process has a resident set of about 526 MB (288 MB its own, 238 MB pages of
# the libraries' files), which is also its peak until then. After `sys.exit` its peak is about 654 MB. With `os._exit` at the same place it stays
# at 526 MB. So the end of the process itself, the static destructors and finalizers of the libraries, touches about 126 MB of file
# pages that nothing had touched before.
#
# What follows: a limit on memory (a container's, ulimit) that fits the work can be passed at the end, `ru_maxrss` and
# `/usr/bin/time` state a peak that the work never had, and many short processes, such as workers, each read 126 MB to leave. Who has
# written and closed everything may leave by `os._exit`.
#
# Exit status: 0 while it is so, 1 when torch behaves otherwise. torch takes about 5 GB in the temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.14.1" "numpy==2.4.6"
cat >"$folder/peak.py" <<'PYTHON'
import os
import sys

WORK = """
import os, re, sys, torch
torch.randn(64, 64) @ torch.randn(64, 64)
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1))
os.write({pipe}, str(peak).encode())
{leave}
"""


def peaks(leave: str) -> tuple[int, int]:
    """KiB: before the end, and in all."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    code = WORK.format(pipe=writer, leave=leave)
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)
    _, status, usage = os.wait4(pid, 0)
    os.close(writer)
    before = int(os.read(reader, 100))
    os.close(reader)
    return before, usage.ru_maxrss


before, after = peaks("sys.exit(0)")
before_quick, after_quick = peaks("os._exit(0)")
print(f"sys.exit: {before} KiB before, {after} KiB in all; os._exit: {before_quick} KiB before, {after_quick} KiB in all")
as_seen = after - before > 60_000 and after_quick - before_quick < 10_000
print("as described" if as_seen else "OTHERWISE: the end no longer raises the peak")
sys.exit(0 if as_seen else 1)
PYTHON
"$folder/venv/bin/python" "$folder/peak.py" || exit 1
