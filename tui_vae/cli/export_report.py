"""All about a run on one page that needs nothing else: HTML with its pictures inside, or Markdown without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tui_vae.cli.export_curves import curves
from tui_vae.cli.export_images import Draw, grid, samples_of
from tui_vae.cli.export_model import card_md
from tui_vae.cli.load_trained import load_trained
from tui_vae.cli.plots import can_draw
from tui_vae.cli.report_page import bullets, figure, page, picture, text
from tui_vae.runs import events as ev
from tui_vae.runs.comparison import whole
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import History, read_history
from tui_vae.runs.steering import read_steering
from tui_vae.runs.summary import state_of

EPOCH = (
    ("elbo_bpd", "bits a pixel", ".3f"), ("mse", "mse", ".5f"), ("recon", "reconstruction", ".2f"),
    ("kl", "KL", ".2f"), ("loss", "loss", ".1f"), ("active_units", "active units", "d"),
)  # fmt: skip
"""Columns of the table of epochs: the figure, its head, its format."""

SAMPLES = 64
"""Images of the picture of samples: a square."""

MOST_EPOCHS = 40
"""Rows of the table of epochs: of a longer run every so many, the best and the last."""


def report(directory: RunDirectory, which: str | None, ending: str) -> bytes:
    """The report of a run, as HTML or Markdown. Its pictures need a checkpoint and the run's data.

    Raises:
        UserError: as the exports `grid` and `samples`, for HTML; config.toml cannot be read.
    """
    if ending == "md":
        return card_md(directory)
    return _html(directory, which).encode()


def _html(directory: RunDirectory, which: str | None) -> str:
    history = read_history(directory.events)
    parts = [f"<h1>{text(directory.name)}</h1>", f'<p class="about">{_about(directory, history)}</p>']
    if can_draw() and history.epochs:
        parts += ["<h2>Curves</h2>", figure(curves(directory, "svg"))]
    parts += ["<h2>Epochs, on the test set</h2>", _epochs(history)]
    if directory.files.last.exists() or directory.files.best.exists():
        run, progress = load_trained(directory, which)
        pairs, samples = grid(run, directory.name), samples_of(run, directory.name, progress.step, Draw(SAMPLES))
        parts += ["<h2>Originals and reconstructions</h2>", picture(pairs.png(), "pairs")]
        parts += ["<h2>Samples from the Gaussian fitted to the encoder’s z</h2>", picture(samples.png(), "samples")]
    said = [f"{event.message}; {event.hint}" if event.hint else event.message
            for event in history.messages if isinstance(event, (ev.WarningEvent, ev.ErrorEvent))]  # fmt: skip
    parts += bullets("What it said", said)
    parts += bullets("How it was steered", [str(change) for change in read_steering(directory)])
    parts += ["<h2>Options</h2>", _options(directory)]
    return page(directory.name, parts)


def _about(directory: RunDirectory, history: History) -> str:
    state = state_of(directory, history.state)
    run, words = history.run, [state, *history.health(state)]
    if run is not None:
        words += [f"{run.dataset.name}, {run.dataset.train:,} + {run.dataset.test:,} images",
                  f"{run.parameters:,} parameters", f"{run.device_name or run.device}, {run.precision}",
                  *(f"{name} {version}" for name, version in run.versions.items())]  # fmt: skip
    return text(" · ".join(words))


def _epochs(history: History) -> str:
    best, count = history.best, len(history.epochs)
    every = -(-count // MOST_EPOCHS) or 1
    shown = [each for at, each in enumerate(history.epochs, 1) if at % every == 0 or at == count or each == best]
    heads = ["epoch", *(head for _, head, _ in EPOCH), "seconds"]
    rows = [
        [str(each.epoch), *(_figure(getattr(each.test, name), form) for name, _, form in EPOCH), f"{each.seconds:.1f}"]
        for each in shown
    ]
    return _table([heads, *rows], [each == best for each in shown])


def _figure(value: float | None, form: str) -> str:
    return "—" if value is None else format(int(value) if form == "d" else value, form)


def _table(rows: Sequence[Sequence[str]], best: Sequence[bool]) -> str:
    head = "".join(f'<th class="n">{text(cell)}</th>' for cell in rows[0])
    lines = [f"<tr>{head}</tr>"]
    for row, is_best in zip(rows[1:], best, strict=True):
        cells = "".join(f'<td class="n">{text(cell)}</td>' for cell in row)
        lines.append(f'<tr class="best">{cells}</tr>' if is_best else f"<tr>{cells}</tr>")
    return "<table>" + "\n".join(lines) + "</table>"


def _options(directory: RunDirectory) -> str:
    rows = []
    for row in whole(replace(directory.read_config(), on_end=None)):  # others see the page, and it may hold a secret
        here, usual = (text(value or "") for value in row.values)
        name = text(row.name) if row.same else f"<b>{text(row.name)}</b>"
        rows.append(f"<tr><td>{name}</td><td>{here}</td><td class=about>{'' if row.same else usual}</td></tr>")
    return f"<table><tr><th></th><th>this run</th><th class=about>its preset</th></tr>{''.join(rows)}</table>"
