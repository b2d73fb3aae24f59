"""How `tui-vae train` reports a run: as lines for a person, as JSON for a program, or not at all."""

from __future__ import annotations

import math
import sys
from typing import Protocol

from tui_vae.cli.tables import table_lines
from tui_vae.runs import advice
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import History


class Reporter(Protocol):
    """Reports the progress of a run. `history` holds all events up to the one that is reported."""

    def on_start(self) -> None: ...

    def on_event(self, event: ev.AnyEvent, history: History) -> None: ...

    def on_end(self, history: History) -> None: ...


def epoch_line(event: ev.EpochEvent, planned: int) -> str:
    """One line with the test figures of an epoch."""
    test = event.test

    def figure(value: float | None, form: str) -> str:
        return format(value, form) if value is not None else "nan"

    return (
        f"epoch {event.epoch:>{len(str(planned))}}/{planned}  loss {figure(test.loss, '9.2f')}"
        f"  recon {figure(test.recon, '7.2f')}  KL {figure(test.kl, '6.2f')}  mse {figure(test.mse, '.5f')}"
        f"  accuracy {figure(test.accuracy and 100 * test.accuracy, '5.2f')} %  {figure(test.elbo_bpd, '.3f')} bits"
        f"  {event.seconds:6.2f} s  {figure(event.images_per_s and event.images_per_s / 1000, '6.1f')}k img/s"
    )


def legacy_table(history: History) -> list[str]:
    """The original notebook's table, for a run of preset `seed`."""
    found = [(event.epoch, event.legacy) for event in history.epochs if isinstance(event.legacy, ev.Legacy)]
    if not found:
        return []
    table = [(" epoch", "reconstruction", "      KL", "accuracy (%)")]
    for epoch, legacy in found:
        figures = (legacy.recon, legacy.kl, legacy.accuracy)
        recon, kl, accuracy = (f"{math.nan if value is None else value:.2f}" for value in figures)
        table.append((str(epoch), recon, kl, accuracy))
    units = "the original's units (sums over batches of the training set, KL times β; see docs/recipes.md):"
    return ["", units, *table_lines(table)]


def introduction(run: ev.RunEvent) -> str:
    """One line about the network, the device and the data of a run."""
    count = run.config.get("devices", 1)
    several = "" if count == 1 else f"{count} processes of " if run.device == "cpu" else f"{count} × "
    return (
        f"{run.name}: {run.parameters:,} parameters on {several}{run.device_name or run.device}, {run.precision}, "
        f"{run.dataset.train:,} + {run.dataset.test:,} images of {run.dataset.name} from "
        f"{with_article(run.dataset.source)}"
    )


def with_article(source: str) -> str:
    """Where data are from, as it stands in a sentence: a path, or `the bundled sample …`."""
    return source if source.startswith("/") else f"the {source}"


def message_line(event: ev.WarningEvent | ev.ErrorEvent) -> str:
    """The line for a warning or an error, with what to do about it in brackets."""
    kind = "error" if isinstance(event, ev.ErrorEvent) else "warning"
    return f"{kind}: {event.message}" + (f" ({event.hint})" if event.hint else "")


def control_line(event: ev.ControlEvent) -> str:
    """The line for what a person has done to a run."""
    value = "" if event.value is None else f" {event.value:g}"
    return f"{event.command}{value} at step {event.step}"


class SilentReporter:
    """Reports nothing, for a command of which only the result is printed."""

    def on_start(self) -> None:
        pass

    def on_event(self, event: ev.AnyEvent, history: History) -> None:
        pass

    def on_end(self, history: History) -> None:
        pass


class JsonReporter(SilentReporter):
    """The `epoch` events on stdout, everything for people on stderr."""

    def on_event(self, event: ev.AnyEvent, history: History) -> None:
        if isinstance(event, ev.EpochEvent):
            sys.stdout.write(ev.encode_line(event).decode())
            sys.stdout.flush()
        elif isinstance(event, ev.WarningEvent):
            print(message_line(event), file=sys.stderr)


class LineReporter:
    """Prints a line for each event that a person wants to see, without control characters."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory

    def on_start(self) -> None:
        pass

    def on_event(self, event: ev.AnyEvent, history: History) -> None:
        match event:
            case ev.RunEvent():
                self.say(introduction(event))
                self.say(f"watch it with: {advice.of_run('attach', self._directory.path)}")
            case ev.EpochEvent():
                self.say(epoch_line(event, history.run.epochs if history.run else event.epoch))
            case ev.WarningEvent():
                self.say(message_line(event))
            case ev.ControlEvent():
                self.say(control_line(event))
            case ev.StateEvent(state="queued"):
                self.say(f"queued: {event.reason}; begin it now: {advice.of_run('resume', self._directory.path)}")

    def on_end(self, history: History) -> None:
        for line in legacy_table(history):
            self.say(line)

    def say(self, line: str) -> None:
        """Print a line at once, also where stdout is a file."""
        print(line, flush=True)
