"""What a command that follows a run tells of it: as lines for a person, or as JSON for a program."""

from __future__ import annotations

import sys
from typing import Protocol

from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import History


class Reporter(Protocol):
    """Tells a person, or a program, how a run goes."""

    def begun(self) -> None: ...

    def told(self, event: ev.AnyEvent, history: History) -> None: ...

    def ended(self, history: History) -> None: ...


def epoch_line(event: ev.EpochEvent, planned: int) -> str:
    """One line about an epoch, of test figures."""
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
    """The original notebook's table, for a run with its recipe."""
    rows = [event for event in history.epochs if isinstance(event.legacy, ev.Legacy)]
    if not rows:
        return []
    lines = ["", "the original's units (sums over batches of the training set, KL times β; see README):",
             " epoch  reconstruction        KL  accuracy (%)"]  # fmt: skip
    for event in rows:
        assert isinstance(event.legacy, ev.Legacy)
        recon, kl, accuracy = (value if value is not None else float("nan") for value in
                               (event.legacy.recon, event.legacy.kl, event.legacy.accuracy))  # fmt: skip
        lines.append(f"{event.epoch:6}  {recon:14.2f}  {kl:8.2f}  {accuracy:12.2f}")
    return lines


def introduction(run: ev.RunEvent) -> str:
    """What is trained on what, in one line."""
    return (
        f"{run.name}: {run.parameters:,} parameters on {run.device_name or run.device}, {run.precision}, "
        f"{run.dataset.train:,} + {run.dataset.test:,} images of {run.dataset.name} from the {run.dataset.source}"
    )


def warning_line(event: ev.WarningEvent) -> str:
    return f"warning: {event.message}" + (f" ({event.hint})" if event.hint else "")


class Silence:
    """Nothing, where only the end is told."""

    def begun(self) -> None:
        pass

    def told(self, event: ev.AnyEvent, history: History) -> None:
        pass

    def ended(self, history: History) -> None:
        pass


class JsonLines(Silence):
    """The `epoch` events on stdout, everything for people on stderr."""

    def told(self, event: ev.AnyEvent, history: History) -> None:
        if isinstance(event, ev.EpochEvent):
            sys.stdout.write(ev.encode_line(event).decode())
            sys.stdout.flush()
        elif isinstance(event, ev.WarningEvent):
            print(warning_line(event), file=sys.stderr)


class PlainLines:
    """A line for each thing worth telling; no control characters."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory

    def begun(self) -> None:
        self.say(f"{self._directory.name}: watch it with: tui-vae attach {self._directory.name}")

    def told(self, event: ev.AnyEvent, history: History) -> None:
        match event:
            case ev.RunEvent():
                self.say(introduction(event))
            case ev.EpochEvent():
                self.say(epoch_line(event, history.run.epochs if history.run else event.epoch))
            case ev.WarningEvent():
                self.say(warning_line(event))
            case ev.ControlEvent():
                value = "" if event.value is None else f" {event.value:g}"
                self.say(f"{event.command}{value} at step {event.step}")

    def ended(self, history: History) -> None:
        for line in legacy_table(history):
            self.say(line)

    def say(self, line: str) -> None:
        print(line, flush=True)
