"""`tui-vae export`: figures, images or the decoder of a run in a file for other programs, each from its own module."""

from __future__ import annotations

import argparse
import csv
import io
import shlex
from collections.abc import Callable
from pathlib import Path

from tui_vae.errors import UsageError, UserError
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.exports import EXPORTS
from tui_vae.runs.files import write_atomic
from tui_vae.runs.history import read_history
from tui_vae.runs.metrics_table import metrics_rows
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.trust import find_to_load

SAMPLES = 64
"""Images on a sheet of samples, by default."""

WITHOUT_WEIGHTS = ("metrics", "timelapse")
"""What is exported from the log and the previews, without a checkpoint."""


def export(options: argparse.Namespace) -> int:
    """Write one file, whole or not at all.

    Raises:
        UsageError: options do not go together.
        UserError: the file cannot be written, or the run cannot be found, trusted, loaded or shown in that form.
    """
    out: Path = options.out
    _check_together(options)
    _check_name(out, options.what)
    if not out.absolute().parent.is_dir():
        raise UserError(f"there is no folder {out.absolute().parent}", "create it, or choose another --out")
    if out.is_file() and not options.force:
        raise UserError(f"{out} is there already", "replace it with --force, or choose another --out")
    directory = find_to_load(runs_directory(options.runs_dir), options.name, options.trust, options.checkpoint)
    data = _maker(options)(directory, options.checkpoint)
    try:
        write_atomic(out.absolute(), data)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}", "choose another --out") from None
    print(f"{out}: {options.what} of {directory.name}, {len(data):,} bytes")
    return 0


def _check_together(options: argparse.Namespace) -> None:
    """
    Raises:
        UsageError: an option does not apply to what is to be exported.
    """
    of_samples = {"images": options.images is not None, "prior": options.prior, "seed": options.seed is not None}
    for name, given in of_samples.items():
        if given and options.what != "samples":
            raise UsageError(f"--{name} goes with --what samples only", f"leave it out for {options.what}")
    if options.checkpoint and options.what in WITHOUT_WEIGHTS:
        raise UsageError(f"--what {options.what} is made of what the run saved on its way, not from a checkpoint",
                         "leave out --checkpoint")  # fmt: skip


def _check_name(out: Path, what: str) -> None:
    """
    Raises:
        UsageError: the file's name says that it is of another format.
    """
    ending = next(each.ending for each in EXPORTS if each.what == what)
    given = out.suffix.removeprefix(".")
    if given and given.lower() != ending:
        better = shlex.quote(str(out.with_suffix(f".{ending}")))
        raise UsageError(f"{out} is no name for {what}, whose format is {ending.upper()}", f"--out {better}")


def _maker(options: argparse.Namespace) -> Callable[[RunDirectory, str | None], bytes]:
    """The function that makes the file's bytes from a run and the name of a checkpoint."""
    from tui_vae.cli import export_decoder, export_images, export_timelapse

    def samples(directory: RunDirectory, which: str | None) -> bytes:
        count, seed = options.images or SAMPLES, options.seed or 0
        return export_images.samples_png(directory, which, count, options.prior, seed)

    makers = {
        "metrics": metrics_csv,
        "reconstructions": export_images.reconstructions_npz,
        "grid": export_images.grid_png,
        "samples": samples,
        "timelapse": export_timelapse.timelapse_gif,
        "decoder": export_decoder.decoder_onnx,
    }
    return makers[options.what]


def metrics_csv(directory: RunDirectory, which: str | None = None) -> bytes:
    """`metrics_rows` as CSV; what is None there is empty.

    Raises:
        RunError: no epoch is done yet.
    """
    rows = metrics_rows(read_history(directory.events))
    if not rows:
        raise RunError(f"run {directory.name!r} has not finished an epoch yet")
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
