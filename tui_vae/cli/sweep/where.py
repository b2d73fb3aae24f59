"""Where a sweep is told to train: on this machine, on a Ray cluster, or in jobs of Slurm."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tui_vae.cli.sweep.here import Here
from tui_vae.cli.sweep.places import places_for
from tui_vae.cli.sweep.site import Site
from tui_vae.cli.waiting import waiting
from tui_vae.config import RunConfig
from tui_vae.errors import UsageError


def on(options: argparse.Namespace) -> str:
    """`ray`, `slurm`, or empty for this machine."""
    return str(options.on[0]) if options.on else ""


def check_where(options: argparse.Namespace) -> None:
    """Check what `--on` needs, before anything that takes time.

    Raises:
        UsageError: options that do not fit together. UserError: something is not installed, or cannot be reached.
    """
    kind = on(options)
    for name in ("cpus", "gpus"):
        if not kind and getattr(options, name) is not None:
            raise UsageError(f"--{name} says what each run gets of a cluster", "add --on ray or --on slurm")
    if options.slurm and kind != "slurm":
        raise UsageError("--slurm is for the jobs of a sweep on Slurm", "add --on slurm")
    if kind == "ray":
        from tui_vae.cli.sweep.ray_cluster import check_ray

        options.on = kind, check_ray(options.on[1])
    elif kind == "slurm":
        from tui_vae.cli.sweep.slurm import check_slurm

        check_slurm(options)


def site_for(
    options: argparse.Namespace, combinations: Sequence[RunConfig], runs_dir: Path, name: str, asked: Sequence[int]
) -> Site:
    """What trains the runs while this command goes on; `options` have passed `check_where`.

    `asked`: gathers signals to stop.

    Raises:
        UserError: the cluster does not answer. KeyboardInterrupt: a signal came before it did.
    """
    if on(options) != "ray":
        with waiting("choosing how many runs train at once"):
            return Here(places_for(combinations, options.jobs))
    from tui_vae.cli.sweep.ray_cluster import RayCluster, Share, awaited

    share = Share(options.cpus, options.gpus)
    with waiting(awaited(options.on[1])):
        return RayCluster(options.on[1], runs_dir, name, combinations, share, options.jobs, asked)
