"""The progress bar of `tui-vae train` in a terminal, above it a line an epoch."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tui_vae.cli.report import PlainLines
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import History


class LiveProgress(PlainLines):
    """A bar over all planned steps, the newest figures behind it."""

    def __init__(self, directory: RunDirectory) -> None:
        super().__init__(directory)
        self._console = Console(highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=None), TaskProgressColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"), console=self._console, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("starting", total=None, figures="")

    def begun(self) -> None:
        self._bar.start()
        super().begun()

    def told(self, event: ev.AnyEvent, history: History) -> None:
        super().told(event, history)
        match event:
            case ev.StateEvent():
                self._bar.update(self._task, description=event.reason or event.state)
            case ev.StepEvent(loss=loss, images_per_s=speed):
                figures = f"loss {loss if loss is not None else float('nan'):.1f}  {(speed or 0) / 1000:.1f}k img/s"
                self._bar.update(self._task, total=history.total_steps, completed=event.step,
                                 description=f"epoch {event.epoch}", figures=figures)  # fmt: skip

    def ended(self, history: History) -> None:
        self._bar.stop()
        super().ended(history)

    def say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False)
