"""Tries an installed tui-vae as a person would who has only that: no checkout, no network, no settings.

    python -P scripts/check_installed.py kernels|pure

`kernels`: the compiled kernels must be there, share one OpenMP runtime with PyTorch, and train alike on one thread and
two. `pure`: they must not be there, and training works without them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

SMALL = ("--preset", "quick", "--epochs", "1", "--train-limit", "3000", "--test-limit", "500", "--device", "cpu",
         "--precision", "float32", "--json")  # fmt: skip
TOLERANCE = 1e-3
"""The largest relative difference of a figure after an epoch that other kernels, or other threads, make by rounding."""


def main() -> int:
    """Print a line for each thing that holds. A check that fails raises."""
    which = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="tv-", dir="/tmp") as scratch:  # a socket's path is short
        tries = Tries(Path(scratch))
        tries.package()
        tries.commands()
        tries.kernels(wanted=which == "kernels")
        figures = {threads: tries.train(threads) for threads in (1, 2)}
        again = tries.train(2, name="again")
        assert again == figures[2], "two threads do not give the same figures twice"
        agree(figures[1], figures[2])
        print(f"trained: mse {figures[1]['mse']:.5f} with one thread, {figures[2]['mse']:.5f} with two, twice the same")
    return 0


def agree(one: dict[str, float], other: dict[str, float]) -> None:
    for name in ("loss", "recon", "kl", "mse", "elbo_bpd"):
        assert abs(one[name] - other[name]) <= TOLERANCE * abs(one[name]), (name, one[name], other[name])


class Tries:
    """Commands of the installed package, in a folder and with settings of their own."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.command = Path(sys.prefix, "bin", "tui-vae")
        names = {"STATE": "state", "CACHE": "cache", "CONFIG": "config.toml", "RUNS": "runs", "SYSTEM_DATA": "nowhere"}
        self.environment = {**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                            **{f"TUI_VAE_{name}": str(scratch / place) for name, place in names.items()},
                            "XDG_RUNTIME_DIR": str(scratch), "TUI_VAE_OFFLINE": "1"}  # fmt: skip

    def run(self, *words: object) -> str:
        done = subprocess.run([str(self.command), *map(str, words)], cwd=self.scratch, env=self.environment, text=True,
                              capture_output=True)  # fmt: skip
        assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def package(self) -> None:
        """It lies among the installed packages, with all its files."""
        spec = importlib.util.find_spec("tui_vae")
        assert spec is not None and spec.origin is not None
        here = Path(spec.origin).parent
        assert here.parent.name == "site-packages", here
        files = distribution("tui-vae").files or []
        lost = [str(each) for each in files if not Path(str(each.locate())).exists()]
        assert not lost, f"missing: {lost}"
        assert len(list((here / "ui").rglob("*.tcss"))) > 8 and (here / "py.typed").exists()
        page = Path(sys.prefix, "share", "man", "man1", "tui-vae.1")
        assert page.exists(), f"no {page}"
        print(f"{distribution('tui-vae').version} on Python {platform.python_version()}: {len(files)} files, man page")

    def commands(self) -> None:
        assert self.run("--version").startswith("tui-vae ")
        assert "examples:" in self.run("--help")
        assert "fashion-mnist" in self.run("data")
        print("--version, --help, data: as they should be")

    def kernels(self, wanted: bool) -> None:
        """What `doctor` says of the compiled kernels, and how many OpenMP runtimes a process that uses them has."""
        findings = {each["name"]: each for each in json.loads(self.run("doctor", "--json"))["findings"]}
        found = findings["CPU kernels"]
        assert found["ok"] == wanted, found
        code = """
from pathlib import Path
from tui_vae.core.step.load_kernels import load_kernels
load_kernels()
print(*sorted({line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libgomp" in line}))
"""
        done = subprocess.run([sys.executable, "-P", "-c", code], env=self.environment, text=True, capture_output=True)
        runtimes = done.stdout.split()
        assert not wanted or len(runtimes) == 1, runtimes
        print(f"torch {findings['torch']['found'].split(';')[0]}; kernels: {found['found']}; OpenMP: {runtimes}")

    def train(self, threads: int, name: str = "run") -> dict[str, float]:
        """The test figures of a short training."""
        out = self.run("train", "--name", f"{name}-{threads}", "--threads", threads, *SMALL)
        event: dict[str, Any] = json.loads(out.splitlines()[-1])
        figures: dict[str, float] = event["test"]
        assert figures["mse"] > 0
        return figures


if __name__ == "__main__":
    sys.exit(main())
