"""Starting a trainer without one: a stand-in for `runs.launch`."""

from tests.support.fake_run import FakeProcess
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import StateEvent


class FakeLauncher:
    """Every start makes a fake process in the run."""

    def __init__(self) -> None:
        self.started: list[tuple[RunDirectory, int]] = []
        """The runs, each with its number of additional epochs."""
        self.lr_factors: list[float | None] = []
        self.processes: list[FakeProcess] = []
        self.after: list[RunDirectory] = []
        """The runs that those which were started wait for."""
        self.warm: list[object] = []
        """The processes that were to get the runs; none for those that begin cold."""

    def start(
        self, directory: RunDirectory, more_epochs: int = 0, leave_core: bool = False, warm: object = None,
        after: RunDirectory | None = None, lr_factor: float | None = None, **rest: object,
    ) -> None:  # fmt: skip
        self.started.append((directory, more_epochs))
        self.lr_factors.append(lr_factor)
        self.warm += [warm] if warm is not None else []
        self.after += [after] if after is not None else []
        self.processes.append(FakeProcess(directory, "train"))
        self.processes[-1].log(StateEvent(state="training"))
