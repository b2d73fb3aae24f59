"""Finished runs with logs as long as they get: a million steps, ten thousand epochs. A module of bench_ui.py."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

from tests.support.fake_run import figures_after, make_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import CheckpointEvent, EpochEvent, EventLog, StepEvent, encode_line

STEPS = 1_000_000
"""Step events of the one: what ten events a second make in a day."""

EPOCHS, STEPS_AN_EPOCH = 10_000, 10
"""Epochs of the other, and step events in each: a night of a small network on a GPU."""


def make_long(runs: Path) -> RunDirectory:
    """A finished run with a million step events, whose curves fall noisily."""
    directory = make_run(runs, "long", epochs=1, planned=STEPS // 235 + 1)
    whole = directory.events.read_bytes().splitlines(keepends=True)
    template = encode_line(StepEvent(t=1e9, epoch=1, step=1, images=256, loss=0.5, recon=1.5, kl=2.5, lr=1e-3, beta=1.0,
                                     images_per_s=26000.0)).decode()  # fmt: skip
    row = re.sub(r'"(\w+)":[\d.e+-]+', r'"\1":%(\1)s', template)
    dice, start = random.Random(0), time.time() - STEPS / 90
    with directory.events.open("wb") as log:
        log.writelines(line for line in whole if b'"step"' not in line or b'"kind":"epoch"' in line)
        for step in range(1000, STEPS + 1000):
            noise = dice.random()
            log.write((row % {
                "t": start + step / 90, "epoch": step // 235 + 1, "step": step, "images": 256 * step,
                "loss": -1100 + noise + 1e6 / step, "recon": 27 + noise + 1e4 / step, "kl": 60 - 1e4 / step + noise,
                "lr": 1e-3, "beta": 1.0, "images_per_s": 26000 + 100 * noise,
            }).encode())  # fmt: skip
        log.write(whole[-1])
    return directory


def make_epochs(runs: Path) -> RunDirectory:
    """A finished run of very many short epochs."""
    directory = make_run(runs, "epochs", epochs=0, planned=EPOCHS)
    whole = directory.events.read_bytes().splitlines(keepends=True)
    directory.events.write_bytes(b"".join(whole[:-1]))
    log, start, dice = EventLog(directory.events), time.time() - EPOCHS, random.Random(0)
    for epoch in range(1, EPOCHS + 1):
        found = figures_after(epoch / 1000)
        for part in range(1, STEPS_AN_EPOCH + 1):
            step = (epoch - 1) * 235 + part * 23 + 5
            log.write(StepEvent(
                t=start + epoch + part / STEPS_AN_EPOCH, epoch=epoch, step=step, images=256 * step, kl=found.kl,
                loss=(found.loss or 0) + dice.random(), recon=found.recon, lr=1e-3, beta=1.0, images_per_s=26000.0,
            ))  # fmt: skip
        at, last = start + epoch + 1, epoch * 235
        log.write(EpochEvent(t=at, epoch=epoch, step=last, seconds=1.0, images_per_s=26000.0, train=found, test=found))
        log.write(CheckpointEvent(t=at, epoch=epoch, step=last, file="last.safetensors", best=True))
    log.close()
    with directory.events.open("ab") as file:
        file.write(whole[-1])
    return directory
