"""A second of training, where no earlier run tells how long one takes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tui_vae.config import RunConfig, is_named, toml_value
from tui_vae.runs.directory import list_runs
from tui_vae.runs.launch import trainer_environment
from tui_vae.runs.warm_trainer import has_room
from tui_vae.ui.new_run.forecast import Throughput, parameters_of, shape_of, train_images

REST_SECONDS = 1.5
"""Seconds that the form is open before a process starts for this: whoever knows what to train has gone by then."""

SECONDS = 1.0
"""Seconds of training that are measured, after one of warming up."""


async def trial(config: RunConfig, known: Sequence[Throughput], runs_dir: Path) -> Throughput | None:
    """How fast this machine trains what a config says; None where that cannot be measured now, or had better not be.

    Not for images of the user's own, which may take long to read, and not while a run trains, which it would slow down.
    """
    await asyncio.sleep(REST_SECONDS)
    images, parameters = train_images(config, known), parameters_of(config, known)
    if images is None or parameters is None or not is_named(config.dataset) or not has_room():
        return None
    if await asyncio.to_thread(lambda: any(run.is_training() for run in list_runs(runs_dir))):
        return None
    nameless = replace(config, name=None)
    wanted = {name: toml_value(name, getattr(nameless, name)) for name in vars(nameless)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tui_vae.trainer.bench", "ours", json.dumps(wanted)),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=trainer_environment(), start_new_session=True,
    )  # fmt: skip
    try:
        out, _ = await process.communicate(f"{SECONDS}\n".encode())
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
    return read_trial(out, config, parameters, images)


def read_trial(out: bytes, config: RunConfig, parameters: int, images: int) -> Throughput | None:
    """What the process has printed as a throughput; None where it could not train."""
    try:
        facts, figures = (json.loads(line) for line in out.splitlines())
        rate, device = figures["images_per_s"], facts["device"]
    except (ValueError, KeyError, TypeError):
        return None
    return Throughput(device, parameters, rate, shape_of(config.to_dict()), images) if rate > 0 else None
