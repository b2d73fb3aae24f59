"""What there is to tell about the entry under the cursor: of a run what it has learnt, of a preset what it is for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tui_vae.config import PRESETS, RunConfig, make_config, preset_config
from tui_vae.config.presets import SUITS
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.summary import RunSummary
from tui_vae.ui import numbers, run_progress
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.pairs import Pairs

if TYPE_CHECKING:
    from tui_vae.ui.new_run.forecast import Throughput

MOST_PIECES = 40
"""Pieces of a log that are read for its curve: of a longer one the first epochs are enough for a small picture."""

MOST_ASKED = 20
"""Newest runs among which one of a preset is looked for."""

RECIPE = {"model", "hidden", "latent_dim", "beta", "dataset", *(name for values in PRESETS.values() for name in values)}
"""Options in which a run must be as its preset says, to stand for it."""

DEMO = "demo"
"""The name of the run that comes with the package."""


@dataclass(frozen=True)
class Detail:
    """Words, a figure, a curve and images. What is not known is empty."""

    title: str = ""
    state: tuple[str, str] = ("", "note")
    """Text and ink: how a run is, or how long a preset takes."""
    lines: tuple[str, ...] = ()
    figure: float | None = None
    """The best bits a pixel on the test set."""
    about_figure: str = ""
    curve: tuple[float | None, ...] = ()
    """Bits a pixel, or where they are not known the test loss, epoch by epoch."""
    pairs: Pairs = field(default_factory=list)
    about_pairs: str = ""


def network_of(config: RunConfig) -> str:
    """`784-512-256-32` without the input, or the kind of the network."""
    return "-".join(map(str, (*config.hidden, config.latent_dim))) if config.model == "mlp" else config.model


def read_pairs(run: RunDirectory) -> tuple[Pairs, int]:
    """The newest saved previews of a run, and their epoch."""
    from tui_vae.ui.film import read_film

    film = read_film(run.previews, (), newest_only=True)
    return film.both, film.epoch


def of_run(run: RunDirectory, summary: RunSummary) -> Detail:
    """What a run has learnt, by its log and its newest previews."""
    state = f"{glyphs().states.get(summary.state, ' ')} {summary.state}"
    role = run_progress.state_role(summary.state, summary.health)
    if role == "warning":
        state = f"! {', '.join(summary.health)}"
    lines = []
    with suppress(UserError, OSError):
        config = run.read_config()
        facts = (config.preset, summary.dataset, network_of(config), config.objective, summary.device)
        lines.append(" · ".join(each for each in facts if each))
    if summary.reason:
        lines.append(summary.reason)
    curve, figure, about = _curve_of(run)
    pairs, epoch = read_pairs(run)
    above = f"original above, reconstruction below · epoch {epoch}"
    return Detail(summary.name, (state, INKS.get(role, "note")), tuple(lines), figure, about, curve, pairs,
                  above if pairs else "")  # fmt: skip


INKS = {"training": "good", "paused": "warn", "finished": "good", "failed": "bad", "crashed": "bad",
        "unreadable": "bad", "warning": "warn"}  # fmt: skip
"""The ink of a state's role."""


def _curve_of(run: RunDirectory) -> tuple[tuple[float | None, ...], float | None, str]:
    """Bits a pixel of each epoch, the best of them, and what that one is."""
    from tui_vae.runs.run_records import Ledger

    try:
        facts = os.stat(run.events)
        ledger = Ledger(run, facts)
        for _ in range(MOST_PIECES):
            ledger.read(facts)
            if ledger.complete:
                break
        record = ledger.record(facts.st_mtime)
    except OSError:
        return (), None, ""
    best = record.best
    if best is None:
        return (), None, ""
    of = f"epoch {best.epoch} of {record.planned or record.epochs}"
    if best.elbo_bpd is None:
        return tuple(each.loss for each in record.curve), None, f"test loss {numbers.metric(best.loss, 0)}, {of}"
    about = f"bits/px, {of}" + ("" if best.mse is None else f" · mse {numbers.metric(best.mse, 0)}")
    return tuple(each.elbo_bpd for each in record.curve), best.elbo_bpd, about


class Presets:
    """What is known of the presets on this machine: how long each takes, and a run of each."""

    def __init__(self, runs: Sequence[RunDirectory], throughputs: Sequence[Throughput]) -> None:
        self._throughputs = throughputs
        self._runs = list(runs)
        self._of = dict(_runs_by_preset(self._runs))

    @classmethod
    def read(cls, runs_dir: Path, runs: Sequence[RunDirectory]) -> Presets:
        """Read what the newest runs tell."""
        from tui_vae.ui.new_run.forecast import read_throughputs

        try:
            return cls(runs, read_throughputs(runs_dir))
        except (UserError, OSError):
            return cls(runs, ())

    def seconds(self, preset: str) -> tuple[float, str] | None:
        """About how many seconds a run takes, and on which device; None where no run here tells."""
        from tui_vae.ui.new_run.forecast import seconds_of

        return seconds_of(make_config({"preset": preset}), self._throughputs)

    def detail(self, preset: str, summaries: Iterable[RunSummary]) -> Detail:
        """What a preset is for, how long it takes, and what a run made of it, or of another one, has learnt."""
        config = make_config({"preset": preset})
        seconds = self.seconds(preset)
        takes = (
            f"about {numbers.duration(seconds[0], 0)} on {seconds[1]}" if seconds else "its first run tells how long"
        )
        recipe = network_of(config), config.objective, config.optimizer, f"{config.epochs} epochs"
        lines = f"For {SUITS[preset]}.", " · ".join(recipe)
        example = self._of.get(preset) or next((run for run in self._runs if run.name == DEMO), None)
        example = example or next(iter(self._runs), None)
        by_name = {summary.name: summary for summary in summaries}
        if example is None or example.name not in by_name:
            return Detail(preset, (takes, "note"), lines)
        seen = of_run(example, by_name[example.name])
        above = f"what {example.name} has learnt · original above, reconstruction below" if seen.pairs else ""
        if preset not in self._of:  # its figures would be taken for the preset's
            return Detail(preset, (takes, "note"), lines, pairs=seen.pairs, about_pairs=above)
        about = f"bits/px, {example.name}" if seen.figure is not None else ""
        return Detail(preset, (takes, "note"), lines, seen.figure, about, seen.curve, seen.pairs, above)


def _runs_by_preset(runs: Sequence[RunDirectory]) -> Iterable[tuple[str, RunDirectory]]:
    """The newest run of each preset that saved images, among the newest runs and the demo."""
    asked = [*runs[:MOST_ASKED], *(run for run in runs[MOST_ASKED:] if run.name == DEMO)]
    for run in reversed(asked):
        with suppress(UserError, OSError):
            config = run.read_config()
            usual = preset_config(config.preset)
            if run.previews.is_dir() and all(getattr(config, name) == getattr(usual, name) for name in RECIPE):
                yield config.preset, run


OF_FORM = Detail("describe a run", lines=("A form with every option, checked as you type, with the time it will take.",
                                          "Or from the shell: tui-vae train --help"))  # fmt: skip


def of_data(path: str) -> Detail:
    """What is known of data before they are read."""
    lines = (path, "Opens the form of a new run on these images.", f"What they are: tui-vae data {path}")
    return Detail(os.path.basename(path), lines=lines)
