"""Actions on the selected run: continue it, make another like it, note, rename, delete, export."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path

from tui_vae.config import RunConfig, check_option
from tui_vae.config.end_command import check_end_command
from tui_vae.config.own_code import NotTrusted, allow, check_allowed
from tui_vae.errors import UserError
from tui_vae.runs import launch, manage
from tui_vae.runs.directory import RunDirectory, check_resumable
from tui_vae.runs.history import read_history
from tui_vae.runs.run_records import Record
from tui_vae.runs.tags import Tags, parse_tags, write_tags
from tui_vae.ui.damaged_last import ask_where_last_is_damaged, went_back
from tui_vae.ui.dialogs import AskMoreEpochs, AskText, Confirm
from tui_vae.ui.export import ask_and_export
from tui_vae.ui.messages import OpenRun, StartRun
from tui_vae.ui.notify_outcome import notify_outcome
from tui_vae.ui.pane import Pane
from tui_vae.ui.runs.all_runs import library
from tui_vae.ui.runs.groups import Group, Row
from tui_vae.ui.runs.table import RunsTable
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences


def name_complaint(run: RunDirectory, name: str) -> str:
    """Why a run cannot have this name; empty where it can."""
    if not name:
        return "Type a name."
    try:
        check_option("name", name)
    except UserError as error:
        return f"{error.message}."
    if name != run.name and run.path.with_name(name).exists():
        return "There is a run of this name already."
    return ""


def tags_complaint(text: str) -> str:
    """Why these cannot be a run's tags; empty where they can."""
    try:
        parse_tags(text)
    except UserError as error:
        return f"{error}."
    return ""


class RunActions(Pane):
    """The part of the Runs pane that changes runs; `RunsPane` adds the part that shows them."""

    @property
    def notes_below(self) -> bool:
        return self.query_one(RunsTable).newest_above

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__(session, preferences)
        self.library = library(session.directory.path.parent)
        self.marks = self.library.marks
        self.rows: list[Row] = []
        self.cursor: Path | None = session.directory.path
        self._wake = asyncio.Event()
        """Set to have the runs looked at again at once."""

    @property
    def selected_row(self) -> Row | None:
        """The row under the cursor; None where there is none."""
        return next((row for row in self.rows if row.path == self.cursor), None)

    @property
    def selected(self) -> Record | None:
        """The run under the cursor; None where there is none, or a group."""
        row = self.selected_row
        return row if isinstance(row, Record) else None

    @property
    def compared(self) -> list[Row]:
        """The marked runs and groups; the selected one where none is marked."""
        raise NotImplementedError

    def _chosen(self) -> Record | None:
        """The run under the cursor. Where that is a group, the user is told so."""
        if isinstance(self.selected_row, Group):
            self.notify("That is a group of runs: enter unfolds it.", severity="warning", timeout=4)
        return self.selected

    def is_open(self, record: Record) -> bool:
        """Whether it is the run on screen."""
        return record.path == self.session.directory.path

    def _act(self, action: Coroutine[object, object, str]) -> None:
        """Do something in the background, notify the user of its outcome, and look at the runs again."""

        async def act() -> None:
            await notify_outcome(self, action)
            self._wake.set()

        self.run_worker(act(), group="actions")

    def action_beside(self) -> None:
        """Show the images of two marked runs, or of two epochs of one, side by side."""
        from tui_vae.ui.runs.beside import Beside

        runs = [row for row in self.compared if isinstance(row, Record)]
        if runs:
            self.app.push_screen(Beside(runs[:2]))
        elif self._chosen() is None:
            self.notify("Select a run, or mark two.", severity="warning", timeout=4)

    def action_resume(self) -> None:
        record = self._chosen()
        if record is None:
            return
        if self.is_open(record):
            self.run_worker(self.run_action("screen.go_on"))
        elif record.state in ("loading", "training"):
            self.notify(f"{record.name} is {record.state} already.", severity="warning", markup=False)
        elif record.state == "finished":
            if self._is_own(record, check_resumable):  # before a dialog asks for what comes to nothing
                self._ask_more_epochs(record)
        elif record.state == "failed":
            self.run_worker(self._ask_and_go_on(record))
        else:
            self._go_on(record.directory)

    def _ask_more_epochs(self, record: Record) -> None:
        ask, run = AskMoreEpochs(record.name, record.planned), record.directory
        self.app.push_screen(ask, lambda more: self._go_on(run, more) if more else None)

    async def _ask_and_go_on(self, record: Record) -> None:
        from tui_vae.ui.lower_rate import ask_for_lower_rate

        run = record.directory
        history = await asyncio.to_thread(read_history, run.events)
        if history.has_trained_all:
            self._ask_more_epochs(record)
            return
        ask_for_lower_rate(self, run.name, history, lambda factor: self._go_on(run, 0, factor))

    def _go_on(self, run: RunDirectory, more_epochs: int = 0, lr_factor: float | None = None) -> None:
        def go_on(epoch: int | None) -> None:
            self._act(self._resume(run, more_epochs, epoch, lr_factor))

        self.run_worker(ask_where_last_is_damaged(self, run, go_on))

    @staticmethod
    async def _resume(
        run: RunDirectory, more_epochs: int = 0, from_epoch: int | None = None, lr_factor: float | None = None
    ) -> str:
        former = await asyncio.to_thread(went_back, run, from_epoch, more_epochs) if from_epoch else ""
        await asyncio.to_thread(launch.continue_training, run, more_epochs, True, None, lr_factor)
        return f"Training of {run.name} goes on.{former}"

    def action_again(self) -> None:
        record = self._chosen()
        if record is None:
            return
        if record.config is None:
            self.notify(f"The config.toml of {record.name} cannot be read.", severity="warning", markup=False)
            return
        self.run_worker(self._ask_to_trust(record.name, record.config, bool(record.steered)))

    async def _ask_to_trust(self, name: str, config: RunConfig, steered: bool) -> None:
        """Open the form. What it starts runs the code of the run's own model: where the user has not allowed that yet,
        they are asked first."""
        from tui_vae.ui.allow_code import question

        try:
            await asyncio.to_thread(check_allowed, config)
        except NotTrusted as error:

            async def allowed(yes: bool | None) -> None:
                if yes:
                    await asyncio.to_thread(allow, config)
                    self._show_form(name, config, steered)

            self.app.push_screen(question(name, error.message), allowed)
        else:
            self._show_form(name, config, steered)

    def _show_form(self, name: str, config: RunConfig, steered: bool) -> None:
        from tui_vae.ui.new_run.screen import NewRun

        try:
            check_end_command(config)
        except NotTrusted as error:  # what the form starts counts as given by the user
            config = replace(config, on_end=None)
            self.notify(f"{error.message}: it is left out.", severity="warning", markup=False)
        self.app.push_screen(NewRun(self.library.runs_dir, config, steered=steered), self._described)

    def _described(self, wanted: StartRun | None) -> None:
        if wanted is not None:
            self.post_message(wanted)

    def action_note(self) -> None:
        record = self._chosen()
        if record is not None and self._is_own(record):
            ask = AskText(f"Note on {record.name}", "A line of text, kept with the run; empty removes it.", record.note)
            self.app.push_screen(ask, partial(self._note, record))

    def _note(self, record: Record, text: str | None) -> None:
        async def keep(text: str) -> str:
            await asyncio.to_thread(manage.write_note, record.directory, text)
            return "Note kept." if text else "Note removed."

        if text is not None and text != record.note:
            self._act(keep(text))

    def action_tags(self) -> None:
        record = self._chosen()
        if record is None or not self._is_own(record):
            return
        explanation = "Words, such as good paper; @widths puts it into a group, which folds into one row."
        before = Tags(record.tags, record.group).text()
        ask = AskText(f"Tags of {record.name}", explanation, before, tags_complaint)
        self.app.push_screen(ask, partial(self._tag, record, before))

    def _tag(self, record: Record, before: str, text: str | None) -> None:
        async def keep(text: str) -> str:
            kept = parse_tags(text)
            await asyncio.to_thread(write_tags, record.directory, kept)
            return f"{record.name}: {kept.text() or 'no tags'}."

        if text is not None and text != before:
            self._act(keep(text))

    def action_rename(self) -> None:
        record = self._chosen()
        if record is not None and self._may(record, "rename"):
            complaint = partial(name_complaint, record.directory)
            ask = AskText(f"Rename {record.name}", "Letters, digits, '.', '_' and '-'.", record.name, complaint)
            self.app.push_screen(ask, partial(self._rename, record))

    def _rename(self, record: Record, name: str | None) -> None:
        async def rename(name: str) -> str:
            fresh = await asyncio.to_thread(manage.rename_run, record.directory, name)
            self.marks.renamed(record.path, fresh.path)
            self.cursor = fresh.path if self.cursor == record.path else self.cursor
            if self.is_open(record):
                self.post_message(OpenRun(fresh))
            return f"{record.name} is now called {name}."

        if name is not None and name != record.name:
            self._act(rename(name))

    def action_delete(self) -> None:
        record = self._chosen()
        if record is None or not self._may(record, "delete"):
            return
        if self.is_open(record) and len(self.library.records) == 1:
            self.notify("It is the only run, and on screen; start another one first.", severity="warning")
            return
        epochs = f"{record.epochs} epochs" if record.epochs != 1 else "1 epoch"
        what = f"Its {epochs}, weights and previews are gone for good."
        ask = Confirm(f"Delete {record.name}?", what, "delete it", careful=True)
        self.app.push_screen(ask, partial(self._delete, record))

    def _delete(self, record: Record, yes: bool | None) -> None:
        async def delete() -> str:
            await asyncio.to_thread(manage.delete_run, record.directory)
            self.marks.forget(record.path)
            if self.is_open(record):
                other = next((each for each in self.library.records if each.path != record.path), None)
                if other is not None:
                    self.post_message(OpenRun(other.directory))
            return f"{record.name} is deleted."

        if yes:
            self._act(delete())

    def _may(self, record: Record, what: str) -> bool:
        """Whether a run can be changed; where it cannot, the user is told why."""
        if not self._is_own(record):
            return False
        if not record.directory.is_training():
            return True
        said = f"{record.name} is being trained; stop it before you {what} it."
        self.notify(said, severity="warning", markup=False)
        return False

    def _is_own(self, record: Record, check: Callable[[RunDirectory], None] = lambda run: None) -> bool:
        """Whether a run is this user's to change, and passes the check; where it is not, the user is told why."""
        try:
            record.directory.check_own()
            check(record.directory)
        except UserError as error:
            self.notify(f"{error.message}; {error.hint}", severity="warning", markup=False)
            return False
        return True

    def action_export(self) -> None:
        record = self._chosen()
        if record is not None:
            ask_and_export(self, record.directory)
