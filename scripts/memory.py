"""The most memory of a trainer, and of a process that only serves, against `import torch` plus the images.

`python scripts/memory.py [--preset NAME] [OPTION=VALUE …]` trains a short run on the CPU on all images that it
finds, and looks at the finished run. Memory is that which is resident: the peak of the kernel (VmHWM), and now (VmRSS).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # Python puts the folder of a script there, not the one above it

from tui_vae.config import make_config  # noqa: E402
from tui_vae.runs import launch, protocol  # noqa: E402
from tui_vae.runs.client import Caller  # noqa: E402
from tui_vae.runs.create import create_run  # noqa: E402
from tui_vae.runs.directory import RunDirectory  # noqa: E402
from tui_vae.runs.history import read_history  # noqa: E402

LIMIT = 1.3
"""The most that a trainer may take, in `import torch` plus the images."""

IMPORT_TORCH = "import torch; print(*(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"


def megabytes(status: str, field: str) -> float:
    line = next((line for line in status.splitlines() if line.lstrip().startswith(field)), "0 0")
    return int(line.split()[1]) / 1000


def status_of(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def image_megabytes(run: RunDirectory) -> float:
    """Bytes of all training and test images as the process holds them, from the log of the finished run."""
    from tui_vae.core.data.datasets import load  # torch is imported in neither

    facts = read_history(run.events).run
    assert facts is not None
    data = load(facts.config["dataset"], facts.config.get("data_dir"))
    assert (len(data.train_images), len(data.test_images)) == (facts.dataset.train, facts.dataset.test)
    return (data.train_images.nbytes + data.test_images.nbytes) / 1e6


def trainer_megabytes(run: RunDirectory) -> float:
    process = launch.start_training(run, leave_core=True)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, megabytes(status_of(process.pid), "VmHWM"))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(run.output(2000))
    return peak


def server_megabytes(run: RunDirectory) -> float:
    """After one question of each kind."""
    process = launch.start_serving(run)
    assert process is not None
    caller = Caller(run)
    try:
        caller.ask(protocol.Describe(), protocol.Description, timeout=120)
        caller.ask(protocol.Reconstruct(indices=list(range(64))), protocol.Reconstructions)
        caller.ask(protocol.TestErrors(), protocol.Errors, timeout=120)
        caller.ask(protocol.Map(), protocol.LatentMap, timeout=120)
        caller.ask(protocol.Sample(count=64, seed=0, source="fitted"), protocol.Samples, timeout=120)
        return megabytes(status_of(process.pid), "VmRSS")
    finally:
        caller.close()
        process.terminate()
        process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="default")
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE", help="as of tui-vae train")
    given = parser.parse_args()
    changes = dict(option.split("=", 1) for option in given.options)
    torch = megabytes(subprocess.check_output([sys.executable, "-c", IMPORT_TORCH], text=True), "VmHWM")
    with tempfile.TemporaryDirectory(prefix="tv-", dir="/tmp") as runs:
        os.environ["XDG_RUNTIME_DIR"] = runs
        options = {"preset": given.preset, "epochs": "2", "device": "cpu", **changes}
        run, _ = create_run(Path(runs), make_config(options))
        trainer, server, images = trainer_megabytes(run), server_megabytes(run), image_megabytes(run)
    base = torch + images
    print(f"import torch {torch:.0f} MB + images {images:.0f} MB = {base:.0f} MB")
    verdict = "holds" if trainer <= LIMIT * base else "MISSED"
    print(f"trainer at its peak  {trainer:.0f} MB = {trainer / base:.2f} × (at most {LIMIT}: {verdict})")
    print(f"who only serves      {server:.0f} MB = {server / base:.2f} ×")
    return int(trainer > LIMIT * base)


if __name__ == "__main__":
    sys.exit(main())
