"""`export`: a run's metrics as CSV, its reconstructions as NPZ, a grid of them as PNG."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import Any

import msgspec

from tui_vae.cli.look import note
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory, RunError, find_run, runs_directory
from tui_vae.runs.files import write_atomic
from tui_vae.runs.history import read_history

PAIRS_A_CLASS = 6
GAP, SCALE = 2, 2


def export(options: argparse.Namespace) -> int:
    """Write one file, whole or not at all."""
    out: Path = options.out
    if not out.absolute().parent.is_dir():
        raise UserError(f"there is no folder {out.absolute().parent}", "create it, or choose another --out")
    directory = find_run(runs_directory(options.runs_dir), options.name)
    make = {"metrics": metrics_csv, "reconstructions": reconstructions_npz, "grid": grid_png}[options.what]
    data = make(directory, options.checkpoint)
    try:
        write_atomic(out.absolute(), data)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}", "choose another --out") from None
    print(f"{out}: {options.what} of {directory.name}, {len(data):,} bytes")
    return 0


def metrics_csv(directory: RunDirectory, which: str | None = None) -> bytes:
    """A row an epoch: `epoch, step, seconds, images_per_s`, then each figure as `train_…` and `test_…`.

    Raises:
        RunError: no epoch is done yet.
    """
    epochs = read_history(directory.events).epochs
    if not epochs:
        raise RunError(f"run {directory.name!r} has not finished an epoch yet")
    rows = []
    for event in epochs:
        row: dict[str, Any] = {name: getattr(event, name) for name in ("epoch", "step", "seconds", "images_per_s")}
        for side in ("train", "test"):
            figures = msgspec.to_builtins(getattr(event, side))
            row |= {f"{side}_{name}": value for name, value in figures.items() if name != "kl_per_dim"}
        rows.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def reconstructions_npz(directory: RunDirectory, which: str | None = None) -> bytes:
    """The whole test set in order; `reconstruction` is the decoder at z = μ, float32 in [0, 1]."""
    import numpy as np

    from tui_vae.core.metrics import reconstruct
    from tui_vae.trainer.workbench import open_run

    bench, _ = open_run(directory, which, note)
    result = reconstruct(bench.model, bench.test)
    originals = bench.dataset.test_images
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        index=np.arange(len(originals), dtype=np.int64),
        label=bench.dataset.test_labels.astype(np.int64),
        original=originals,
        reconstruction=result.images.cpu().numpy().reshape(originals.shape),
        mu=result.mu.cpu().numpy(),
        logvar=result.logvar.cpu().numpy(),
    )
    return buffer.getvalue()


def grid_png(directory: RunDirectory, which: str | None = None) -> bytes:
    """A row a class: its first test images, each original with its reconstruction to the right."""
    import numpy as np
    import torch
    from PIL import Image

    from tui_vae.core.metrics import reconstruct
    from tui_vae.trainer.workbench import open_run

    bench, _ = open_run(directory, which, note)
    labels, originals = bench.dataset.test_labels, bench.dataset.test_images
    height, width = originals.shape[1:]
    rows = []
    for label in range(len(bench.dataset.classes)):
        chosen = np.flatnonzero(labels == label)[:PAIRS_A_CLASS]
        if not len(chosen):
            continue
        made = reconstruct(bench.model, bench.test[torch.from_numpy(chosen).to(bench.device)]).images
        pixels = (made * 255).round().to(torch.uint8).cpu().numpy().reshape(-1, height, width)
        row = np.zeros((height + GAP, PAIRS_A_CLASS * (2 * width + 2 * GAP)), np.uint8)
        for place, index in enumerate(chosen):
            left = place * (2 * width + 2 * GAP)
            row[:height, left : left + width] = originals[index]
            row[:height, left + width : left + 2 * width] = pixels[place]
        rows.append(row)
    grid = np.concatenate(rows)[:-GAP, : -2 * GAP]
    image = Image.fromarray(grid, mode="L")
    buffer = io.BytesIO()
    image.resize((image.width * SCALE, image.height * SCALE), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()
