"""The progress bar of `tui-vae train` in a terminal, below a line an epoch."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tui_vae.cli.train_reporters import LineReporter
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import History


class ProgressReporter(LineReporter):
    """Lines as `LineReporter` prints them, and a bar over all planned steps with the newest figures."""

    def __init__(self, directory: RunDirectory) -> None:
        super().__init__(directory)
        self._console = Console(highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=None), TaskProgressColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"), console=self._console, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("starting", total=None, figures="")

    def on_start(self) -> None:
        self._bar.start()
        super().on_start()

    def on_event(self, event: ev.AnyEvent, history: History) -> None:
        super().on_event(event, history)
        match event:
            case ev.StateEvent():
                self._bar.update(self._task, description=event.reason or event.state)
            case ev.StepEvent(loss=loss, images_per_s=speed):
                figures = f"loss {loss if loss is not None else float('nan'):.1f}  {(speed or 0) / 1000:.1f}k img/s"
                self._bar.update(self._task, total=history.total_steps, completed=event.step,
                                 description=f"epoch {event.epoch}", figures=figures)  # fmt: skip

    def on_end(self, history: History) -> None:
        self._bar.stop()
        super().on_end(history)

    def say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False)
