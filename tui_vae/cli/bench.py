"""`tui-vae bench`: how fast this machine trains, against the ordinary loop and against bare matrix products."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from statistics import median
from typing import Any

from tui_vae.cli.bench_until import describe, time_until
from tui_vae.cli.busy import OtherWork, busy_words, others_on_gpu
from tui_vae.cli.parser import given_options
from tui_vae.cli.tables import print_table
from tui_vae.config import RunConfig, make_config, toml_value
from tui_vae.config.own_code import allow, with_model_folder
from tui_vae.errors import UserError
from tui_vae.runs.launch import trainer_environment

# By the names that `trainer.bench` knows them by.
CANDIDATES = {
    "ours": "tui-vae's training step",
    "ordinary": "DataLoader, transforms, Adam, loss.item() each step",
    "ordinary-2-workers": "the same, 2 loader workers",
    "products": "bare matrix products, PyTorch's",
}

PRODUCTS = "products"
"""The candidate that is no way to train: networks that are more than matrix products do without it."""


class CandidateProcess:
    """A process of `trainer.bench`, which trains for a while each time it is told to.

    facts: what it says of itself. rates: images a second of each round. memory: its peaks after the last round, bytes.
    """

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        environment = trainer_environment() if name in ("ours", "products") else dict(os.environ)
        self.name = name
        self._process = subprocess.Popen(  # noqa: S603  # this Python, our module, checked options
            [sys.executable, "-P", "-m", "tui_vae.trainer.bench", name, json.dumps(options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.pid = self._process.pid
        self.facts: dict[str, Any] = {}
        self.rates: list[float] = []
        self.memory: dict[str, int] = {}

    def wait(self) -> None:
        """Wait until it has warmed up.

        Raises:
            UserError: it has ended.
        """
        self.facts = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise UserError(f"the benchmark's contender {self.name!r} ended without a result", "its output is above")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UserError(answer["error"], answer["hint"])
        return answer

    def round(self, seconds: float) -> None:
        """Let it train for so long.

        Raises:
            UserError: it has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        answer = self._answer()
        self.rates.append(answer["images_per_s"])
        self.memory = {name: answer[name] for name in ("memory_bytes", "device_memory_bytes")}

    def close(self) -> None:
        """End the process and wait until it is gone."""
        self._process.kill()
        self._process.wait()


def bench(options: argparse.Namespace) -> int:
    """Run the candidates, and compare their rates.

    Raises:
        UserError: a candidate failed.
    """
    config = with_model_folder(make_config(given_options(options)))
    allow(config)  # as `train` does
    candidates, cores, gpu = _run_candidates(config, options.rounds, options.seconds)
    if busy := busy_words(cores, gpu):
        print(busy, file=sys.stderr)
    results = [_result(candidate, candidates[0]) for candidate in candidates]
    ordinary = max((r for r in results if r["name"].startswith("ordinary")), key=lambda r: r["images_per_s"])
    bare = results[-1] if results[-1]["name"] == PRODUCTS else None
    gain, share = ordinary["ours_over_this"], bare["ours_over_this"] if bare else None
    until = time_until(config, options.until) if options.until else None
    if options.json:
        settings = {"preset": config.preset, "batch_size": config.batch_size, "hidden": list(config.hidden),
                    "latent_dim": config.latent_dim, "rounds": options.rounds, "seconds": options.seconds,
                    "versions": _versions()}  # fmt: skip
        ratios = {"ours_over_ordinary": gain, "ours_over_products": share}
        others = {"others_cores": cores, "others_gpu_percent": gpu}
        print(json.dumps({**settings, **ratios, **others, "until": until, "results": results}))
        return 0
    facts = candidates[0].facts
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    versions += f", kernels {facts['kernels']}"
    rounds = f"medians of {options.rounds} rounds" if options.rounds > 1 else "one round"
    print(f"{facts['device']} ({facts['device_name']}), {facts['precision']}, batch {config.batch_size}, {versions}; "
          f"{rounds} of {options.seconds:g} s")  # fmt: skip
    _print_results(results, gain, share)
    for line in describe(until) if until else ():
        print(line)
    return 0


def _run_candidates(
    config: RunConfig, rounds: int, seconds: float
) -> tuple[list[CandidateProcess], float, float | None]:
    """Let the candidates train in turn, so that other processes on the machine slow all of them alike. Gives also how
    many cores those have used meanwhile, and the percentage of the time for which they used the GPU before."""
    wanted = {name: toml_value(name, getattr(config, name)) for name in vars(config)}
    names = [name for name in CANDIDATES if name != PRODUCTS or config.model == "mlp"]
    candidates: list[CandidateProcess] = []
    try:
        candidates.extend(CandidateProcess(name, wanted) for name in names)
        for candidate in candidates:
            candidate.wait()
        gpu = others_on_gpu(candidates[0].facts["device"], candidates[0].pid)
        others = OtherWork([candidate.pid for candidate in candidates])
        for number in range(rounds):
            for candidate in candidates:
                candidate.round(seconds)
            print(f"round {number + 1} of {rounds} done", file=sys.stderr)
        return candidates, others.cores(), gpu
    finally:
        for candidate in candidates:
            candidate.close()


def _print_results(results: list[dict[str, Any]], gain: float, share: float | None) -> None:
    rows = [
        (result["what"], f"{result['images_per_s']:,.0f}", f"{result['lowest']:,.0f} - {result['highest']:,.0f}",
         f"{result['ours_over_this']:.2f}", _mebibytes(result), str(result["threads"]))
        for result in results
    ]  # fmt: skip
    print_table([("", "images/s", "range", "ours/this", "MiB", "threads"), *rows], left=(0,))
    print(f"tui-vae is {gain:.2f} times as fast as the faster ordinary loop{'' if gain >= 1 else ': it loses'}"
          f"{'' if share is None else f', and {share:.0%} as fast as the bare products'}")  # fmt: skip


def _mebibytes(result: dict[str, Any]) -> str:
    """Peak memory of the host, and of the device where that has its own."""
    sizes = [result["memory_bytes"], *([result["device_memory_bytes"]] if result["device_memory_bytes"] else [])]
    return " + ".join(f"{size / 2**20:,.0f}" for size in sizes)


def _result(candidate: CandidateProcess, ours: CandidateProcess) -> dict[str, Any]:
    """A candidate's row in `--json`. Ratios are taken round by round, as a noisy machine slows a whole round."""
    ratios = [mine / theirs for mine, theirs in zip(ours.rates, candidate.rates, strict=True)]
    return {
        "name": candidate.name, "what": CANDIDATES[candidate.name], **candidate.facts,
        "images_per_s": median(candidate.rates), "lowest": min(candidate.rates), "highest": max(candidate.rates),
        "rounds": candidate.rates, "ours_over_this": median(ratios), **candidate.memory,
    }  # fmt: skip


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "torchvision", "tui-vae")}
