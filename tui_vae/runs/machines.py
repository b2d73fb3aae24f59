"""The machines that train one run: torchrun's options by the same names."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from tui_vae.errors import UsageError

MAX_RESTARTS = 3
"""How often processes that were lost are started again: as many times as torch's own launcher does by default."""

WHOLE = r"\d{1,4}"
"""A number of a machine, or of restarts."""

OF_SLURM = "SLURM_NODEID"
"""The variable in which Slurm tells each machine of a job which it is."""

HELP: dict[str, tuple[str, str]] = {
    "nnodes": ("N|MIN:MAX", "how many machines (1); each starts this command"),
    "node_rank": ("N", "which of them this is, from 0, which makes the run and writes it (in a job of Slurm known)"),
    "rdzv_endpoint": ("HOST:PORT", "where they meet: a free port of machine 0"),
    "rdzv_backend": ("NAME", "how they meet: c10d, static, or another that is installed (c10d)"),
    "rdzv_id": ("ID", "a name for their meeting, where several meet at one place"),
    "max_restarts": ("N", f"how often lost processes are started again from the last checkpoint ({MAX_RESTARTS})"),
}
"""Each option's value and what it means."""


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Which machines train a run, and how they find each other. The one with the `node_rank` 0 leads."""

    nnodes: str = "1"
    node_rank: int = 0
    rdzv_backend: str = "c10d"
    rdzv_endpoint: str = ""
    rdzv_id: str = ""
    max_restarts: int = MAX_RESTARTS

    @property
    def fewest(self) -> int:
        """Machines without which nothing begins."""
        return int(self.nnodes.partition(":")[0])

    @property
    def most(self) -> int:
        """Machines at most."""
        return int(self.nnodes.rpartition(":")[2])

    def words(self) -> list[str]:
        """The options of a command line that say the same; none for one machine."""
        usual, words = Machines(), []
        for name in (field.name for field in fields(self)):
            if getattr(self, name) != getattr(usual, name) or (name == "node_rank" and self.most > 1):
                words += [f"--{name.replace('_', '-')}", str(getattr(self, name))]
        return words


def add_machine_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add these options to a command line. `machines_of` checks them."""
    for name, (metavar, text) in HELP.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)


def machines_of(options: argparse.Namespace) -> Machines:
    """What the options that `add_machine_options` has added say.

    Raises:
        UsageError: one is no value of its kind, or they say too little to begin.
    """
    given = {name: value for name in HELP if (value := getattr(options, name)) is not None}
    counts = [given[name] for name in ("node_rank", "max_restarts") if name in given]
    if any(not re.fullmatch(WHOLE, text) for text in counts):
        raise UsageError("--node-rank and --max-restarts must be whole numbers from 0", "such as 0 or 3")
    nnodes = given.get("nnodes", "1")
    parts: Sequence[str] = nnodes.split(":")
    if not re.fullmatch(r"[1-9]\d{0,3}(:[1-9]\d{0,3})?", nnodes) or int(parts[0]) > int(parts[-1]):
        raise UsageError(f"--nnodes must be a number of machines, or MIN:MAX, not {nnodes!r}", "such as 2 or 2:4")
    if int(parts[-1]) > 1:
        given.setdefault("node_rank", os.environ.get(OF_SLURM, ""))
        if not re.fullmatch(WHOLE, given["node_rank"]):
            raise UsageError("--nnodes needs --node-rank: which machine this is, from 0", "give each another one")
        if not re.fullmatch(r".+:\d{1,5}", given.get("rdzv_endpoint", "")):
            raise UsageError("--nnodes needs --rdzv-endpoint HOST:PORT, where the machines meet",
                             "give all machines that of machine 0, with a port that is free there")  # fmt: skip
    if int(given.get("node_rank", "0")) >= int(parts[-1]):
        raise UsageError(f"--node-rank {given['node_rank']} is none of {parts[-1]} machines", "they count from 0")
    rank, restarts = int(given.pop("node_rank", 0)), int(given.pop("max_restarts", MAX_RESTARTS))
    return Machines(node_rank=rank, max_restarts=restarts, **given)
