"""`tui-vae export`: figures, images or the decoder of a run in a file for other programs, each from its own module."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tui_vae.errors import UsageError, UserError
from tui_vae.plain_text import plain
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.exports import EXPORTS
from tui_vae.runs.files import sync_directory, write_atomic
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.trust import find_to_load

SAMPLES = 64
"""Images on a sheet of samples, by default."""

WITHOUT_WEIGHTS = ("metrics", "timelapse", "card", "curves", "rate-distortion")
"""What is exported from the log and the previews, without a checkpoint."""

OF_FILES = {*(ending for each in EXPORTS for ending in each.endings), "zip", "tar", "gz", "tgz", "7z"}
"""Endings that say that something is a file, and no folder."""


def export(options: argparse.Namespace) -> int:
    """Write one file, whole or not at all, or the files of one folder.

    Raises:
        UsageError: options do not go together.
        UserError: the file cannot be written, or the run cannot be found, trusted, loaded or shown in that form.
    """
    out = Path(options.out)
    _check_together(options)
    endings = _endings(options.what)
    if endings:
        check_out(options.out, endings, options.what, options.force)
    else:
        _check_folder(out, options.what, options.force)
    directory = find_to_load(runs_directory(options.runs_dir), options.name, options.trust, options.checkpoint)
    if endings:
        data = _maker(options)(directory, options.checkpoint)
        write_out(out, data)
        size = len(data)
    else:
        from tui_vae.cli.export_hub import hub_files

        size = _write_folder(out, hub_files(directory, options.checkpoint))
    if options.json:
        facts = {"run": directory.name, "what": options.what, "path": str(out.absolute()), "bytes": size}
        print(json.dumps(facts))
    else:
        print(plain(f"{out}: {options.what} of {directory.name}, {size:,} bytes"))
    return 0


def check_out(name: str, endings: Sequence[str], what: str, force: bool) -> Path:
    """Check a file that is to be written before the work for it is done. `endings`: of the formats of `what`.

    Raises:
        UsageError: its name says that it is of another format than these.
        UserError: its folder is not there, or it is there already; or its name is that of a folder.
    """
    out = Path(name)
    within = shlex.quote(str(out / f"{what.split()[-1]}.{endings[0]}"))
    is_folder = UserError(f"{name} is a folder", f"name a file in it, such as --out {within}")
    if os.path.basename(name) in ("", "."):  # whether it is there or not
        raise is_folder
    given = out.suffix.removeprefix(".")
    if given and given.lower() not in endings:
        formats = " or ".join(ending.upper() for ending in endings)
        better = shlex.quote(str(out.with_suffix(f".{endings[0]}")))
        raise UsageError(f"{out} is no name for {what}, whose format is {formats}", f"--out {better}")
    _check_place(out)
    if out.is_dir():
        raise is_folder
    if out.exists() and not out.is_file():  # a device or a pipe would be replaced by a file
        raise UserError(f"{out} is no ordinary file", "choose another --out")
    if out.is_file() and not force:
        raise UserError(f"{out} is there already", "replace it with --force, or choose another --out")
    return out


def write_out(out: Path, data: bytes) -> None:
    """Write a file whole or not at all. A link stays, and what it leads to is written.

    Raises:
        UserError: it cannot be written.
    """
    try:
        write_atomic(out.resolve(), data)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}", "choose another --out") from None


def ending_of(out: Path, endings: Sequence[str]) -> str:
    """The ending that decides the format: the name's, else the first one."""
    return out.suffix.removeprefix(".").lower() or endings[0]


def _check_place(out: Path) -> None:
    """
    Raises:
        UserError: the folder is not there, or nothing can be written into it.
    """
    try:
        folder = out.resolve().parent
    except RuntimeError:  # of Python before 3.13
        raise UserError(f"{out} is a link that leads to itself", "choose another --out") from None
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}", "create it, or choose another --out")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"nothing can be written into {folder}", "choose another --out, or change its permissions")


def _check_folder(out: Path, what: str, force: bool) -> None:
    """
    Raises:
        UsageError: its name says that it is a file.
        UserError: there is something of that name already, or no place for it.
    """
    if out.suffix.removeprefix(".").lower() in OF_FILES:
        better = shlex.quote(str(out.with_suffix("")))
        raise UsageError(f"{out} is no name for {what}, which is a folder", f"--out {better}")
    _check_place(out)
    if out.is_dir() and any(out.iterdir()) and not force:
        raise UserError(f"{out} is there already", "replace its files with --force, or choose another --out")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is no folder", "choose another --out, for a folder")


def _write_folder(out: Path, files: Mapping[str, bytes]) -> int:
    """Write files into a folder, all or none. Return the number of their bytes.

    Raises:
        UserError: they cannot be written.
    """
    import shutil

    whole = out.resolve()
    part = whole.with_name(f".{whole.name}.{os.urandom(4).hex()}.part")
    try:
        part.mkdir()
        for name, data in files.items():
            write_atomic(part / name, data)
        whole.mkdir(exist_ok=True)
        for name in files:  # none before all of them have found room
            os.replace(part / name, whole / name)
        sync_directory(whole)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}", "choose another --out") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return sum(map(len, files.values()))


def _check_together(options: argparse.Namespace) -> None:
    """
    Raises:
        UsageError: an option does not apply to what is to be exported.
    """
    of_samples = {
        "images": options.images is not None, "class": options.label is not None, "prior": options.prior,
        "seed": options.seed is not None,
    }  # fmt: skip
    for name, given in of_samples.items():
        if given and options.what != "samples":
            raise UsageError(f"--{name} goes with --what samples only", f"leave it out for {options.what}")
    if options.prior and options.label is not None:
        raise UsageError("the prior has no classes", "leave out --prior or --class")
    if options.checkpoint and options.what in WITHOUT_WEIGHTS:
        raise UsageError(f"--what {options.what} is made of what the run saved on its way, not from a checkpoint",
                         "leave out --checkpoint")  # fmt: skip


def _endings(what: str) -> tuple[str, ...]:
    return next(each.endings for each in EXPORTS if each.what == what)


def _maker(options: argparse.Namespace) -> Callable[[RunDirectory, str | None], bytes]:
    """The function that makes the file's bytes from a run and the name of a checkpoint."""
    from tui_vae.cli import (
        export_curves,
        export_images,
        export_metrics,
        export_model,
        export_parts,
        export_report,
        export_timelapse,
        export_traversal,
    )

    ending = ending_of(Path(options.out), _endings(options.what))

    def samples(directory: RunDirectory, which: str | None) -> bytes:
        count, seed = options.images or SAMPLES, options.seed or 0
        draw = export_images.Draw(count, options.prior, seed, options.label)
        return export_images.samples_file(directory, which, ending, draw)

    makers: dict[tuple[str, str], Callable[[RunDirectory, str | None], bytes]] = {
        ("metrics", ending): lambda run, which: export_metrics.FORMATS[ending](export_metrics.rows_of(run)),
        ("reconstructions", "npz"): export_images.reconstructions_npz,
        ("grid", ending): lambda run, which: export_images.grid_file(run, which, ending),
        ("samples", ending): samples,
        ("timelapse", ending): lambda run, which: export_timelapse.timelapse(run, ending),
        ("traversal", ending): lambda run, which: export_traversal.traversal(run, which, ending),
        ("curves", ending): lambda run, which: export_curves.curves(run, ending),
        ("rate-distortion", ending): lambda run, which: export_curves.plane(run, ending),
        ("report", ending): lambda run, which: export_report.report(run, which, ending),
        ("encoder", ending): lambda run, which: export_parts.part_file(run, which, "Encoder", ending),
        ("decoder", ending): lambda run, which: export_parts.part_file(run, which, "Decoder", ending),
        ("model", "safetensors"): export_model.model_safetensors,
        ("card", "md"): lambda run, which: export_model.card_md(run),
    }
    return makers[options.what, ending]
