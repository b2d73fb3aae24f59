"""Browse: the test set as originals beside reconstructions, from the newest weights."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.worker import Worker

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.runs.epoch_details import EpochDetails
from tui_vae.ui.browse.classes import ClassTable
from tui_vae.ui.browse.film_player import FilmPlayer
from tui_vae.ui.browse.image_actions import ImageActions
from tui_vae.ui.browse.keys import ACTIONS, BINDINGS, DESCRIPTIONS, OF_CLASSES, View
from tui_vae.ui.browse.one_image import OneImage
from tui_vae.ui.browse.pair_grid import PairGrid
from tui_vae.ui.browse.selection import ImageErrors, Order
from tui_vae.ui.browse.status import class_items, film_facts, image_items
from tui_vae.ui.film import SAVED_SECONDS
from tui_vae.ui.messages import PreferencesChanged
from tui_vae.ui.model_pane import NO_MODEL
from tui_vae.ui.model_status import ModelStatus, StatusFacts
from tui_vae.ui.newest_worker import run_newest
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences
from tui_vae.ui.test_set import NO_CLASSES, Pair, TestSet, pairs_of, test_set_of
from tui_vae.ui.toasts import withdraw

FOLLOW_SECONDS = 2.0
"""Seconds between checks for newer weights than those that made what is shown."""

MEASURE_SECONDS = 10.0
"""Seconds, at least, between two measurements that the user did not ask for: each costs the trainer a pass over the
test set."""

STILL_LOADING = "The model is still being loaded; these are saved previews."


class BrowsePane(ImageActions, can_focus=True):
    """A page of pairs; in front of it one image large, the time-lapse of the previews, or the table of classes."""

    BINDINGS: ClassVar[list[BindingType]] = BINDINGS
    STYLE_SHEET, DESCRIPTIONS = "browse.tcss", DESCRIPTIONS

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__(session, preferences)
        self.view: View = View.PAGE
        self.player = FilmPlayer(self, session, self._show_frame)
        self._loader: Worker[None] | None = None
        """The newest request for what belongs on the screen."""
        self._details = EpochDetails(session.directory.events)
        self._measured_at = 0.0
        """When the errors were measured, by the monotonic clock."""

    def compose(self) -> ComposeResult:
        yield ModelStatus()
        with Vertical():
            yield PairGrid()
            yield OneImage()
            yield ClassTable()

    def begin(self) -> None:
        self.grid.wish = self.preferences.image_size
        self.set_interval(FOLLOW_SECONDS, self._follow)
        self._change_view(View.PAGE)
        self._load()
        self.run_worker(self._show_saved(), group="saved")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.view in ACTIONS.get(action, set(View))

    def makes_sense_now(self, action: str) -> bool:
        return self.may_open_or_freeze(action) and (self.has_classes or action not in OF_CLASSES)

    @property
    def one(self) -> OneImage:
        return self.query_one(OneImage)

    def refresh_history(self) -> None:
        self._refresh_status()

    def facts(self) -> StatusFacts:
        if self.view is View.FILM:
            return film_facts(self.player.film)
        if self.weights is None:
            saved = f"saved previews of epoch {self.player.film.epoch}; " if self.player.film.frames else ""
            return StatusFacts(note=saved + self.note if self.note else "")
        newest_step = max(self.history.step, self.weights[1])
        if self.view is View.CLASSES:
            return StatusFacts(class_items(self.selection, newest_step), note=self.note)
        items = image_items(self.view, self.selection, self.grid, newest_step)
        return StatusFacts(items, self.weights_text(), self.live, self.note)

    def _change_view(self, view: View) -> None:
        self.view = view
        self.grid.display = view in (View.PAGE, View.FILM)
        self.one.display = view is View.IMAGE
        self.query_one(ClassTable).display = view is View.CLASSES
        self.refresh_bindings()
        self._refresh_status()

    # Requests to the model

    def _load(self) -> None:
        """Request what belongs on the screen now, and show it. A newer call replaces an older one."""
        self._loader = run_newest(self, self._loading, "load")

    def try_again(self) -> None:
        self._load()

    async def _loading(self) -> None:
        try:
            test_set = self.selection.test_set or await self._load_test_set()
            if self.selection.errors is None and (self.selection.order is Order.WORST or self.view is View.CLASSES):
                await self._measure()
            if self.view is View.CLASSES:
                self._show_classes(test_set)
                return
            wanted = self._wanted()
            if not wanted:
                return
            reply = await self.session.ask(protocol.Reconstruct(indices=wanted), protocol.Reconstructions)
        except UserError as error:
            self._fail(error)
            return
        if wanted != self._wanted():  # the size of the screen has changed since the request
            self._load()
            return
        self.note = ""
        self.weights = reply.epoch, reply.step
        withdraw(self.app, STILL_LOADING)
        self._show(pairs_of(reply, test_set))

    def _say(self, note: str) -> None:
        super()._say(note)
        for each in (self.grid, self.one, self.query_one(ClassTable)):
            each.wait_for(note)

    async def _load_test_set(self) -> TestSet:
        self._say("the model is being loaded …")
        return self.selection.begin(test_set_of(await self.session.ask(protocol.Describe(), protocol.Description)))

    async def _measure(self) -> None:
        self._say("measuring the error of every test image …")
        self.selection.errors = ImageErrors.of(await self.session.ask(protocol.TestErrors(), protocol.Errors))
        self._measured_at = time.monotonic()
        if self.selection.order is Order.WORST:
            self.selection.make_list(keep=self.view is View.IMAGE)

    def _fail(self, error: UserError) -> None:
        """Say in full why the model does not answer: in the middle where nothing stands there, else as a toast."""
        blank = self.view is View.PAGE and not self.grid.pairs
        if not blank:
            self._notify_failure(error)
        self._say(NO_MODEL)
        if blank:
            self.grid.wait_for(f"{self.sentences(error)}\n{NO_MODEL}")

    def _wanted(self) -> list[int]:
        """The test images that belong on the screen now."""
        pager = self.selection.pager
        pager.capacity = self.grid.capacity_for(len(pager.order))
        if self.view is View.IMAGE:
            return pager.stretch(max(1, self.one.neighbours))
        return pager.shown

    def _follow(self) -> None:
        """Request from the newest weights what is on the screen; once the run has ended, do so one last time."""
        if not self.watched or self.frozen or self.view is View.FILM or self.weights is None:
            return
        if self._loader is not None and not self._loader.is_finished:  # newer weights would begin the request anew
            return
        of_classes = self.view is View.CLASSES
        if of_classes and self.session.alive and time.monotonic() - self._measured_at < MEASURE_SECONDS:
            return
        errors = self.selection.errors
        # While a run trains, its worst images stay in their places; once it has ended, they are those of its end.
        by_errors = of_classes or (self.selection.order is Order.WORST and not self.session.alive)
        shown = errors.step if by_errors and errors else self.weights[1]
        if not self._freshness.outdated(shown):
            return
        if self.session.server is None:
            self._say("the final weights are being loaded …")
        if by_errors:
            self.action_measure()
        else:
            self._load()

    # What is on the screen

    async def _show_saved(self) -> None:
        """Show the newest saved previews until the model answers."""
        if self.session.server is not None:
            await asyncio.sleep(SAVED_SECONDS)
        await self.session.wait_for_run_event()
        if self.weights is None:
            film = await self.player.read(newest_only=True)
            if self.weights is None and self.view is View.PAGE:
                self.player.film = film
                self.grid.show(film.pairs, None)
                self._refresh_status()

    def _show(self, pairs: list[Pair]) -> None:
        pager = self.selection.pager
        if self.view is View.IMAGE:
            selected = next(pair for pair in pairs if pair.index == pager.current)
            self.one.show(selected, f"{pager.place + 1:,} of {len(pager.order):,}", pairs)
        elif self.view is View.PAGE:
            self.grid.marked = frozenset(self.selection.marked)
            self.grid.show(pairs, pager.place - pager.start)
        self._refresh_status()

    def _show_classes(self, test_set: TestSet) -> None:
        errors = self.selection.errors
        if errors is not None:
            self.note = ""
            self.weights = self.weights or (errors.epoch, errors.step)
            self.query_one(ClassTable).show(test_set.by_class(errors.errors))
            self._refresh_status()
            run_newest(self, self._read_epochs, "epochs")

    async def _read_epochs(self) -> None:
        """Read the figures of each class from the log, as far as it goes now."""
        with suppress(OSError):  # it cannot be read at the moment: what is known stays on screen
            while await asyncio.to_thread(self._details.read):
                pass
        self.query_one(ClassTable).show_epochs(self._details.details)

    def _show_frame(self) -> None:
        self.grid.show(self.player.film.pairs, None)
        self._refresh_status()

    def _show_selected(self) -> None:
        """Show the image that is selected now. Where it is on the screen already, nothing is requested."""
        pager = self.selection.pager
        on_page = [pair.index for pair in self.grid.pairs] == pager.shown
        if self.view is View.PAGE and on_page:
            self.grid.select(pager.place - pager.start)
            self._refresh_status()
        elif self.view is View.IMAGE and self.one.strip_is(self._wanted()):
            self._show(self.one.strip)
        else:
            self._refresh_status()
            self._load()

    def _show_new_list(self) -> None:
        self.selection.make_list()
        self._refresh_status()
        self._load()

    def on_pair_grid_resized(self) -> None:
        self._refresh_status()  # the size of the images follows the room
        if self.view is View.PAGE and self.selection.test_set and self.grid.capacity != self.selection.pager.capacity:
            self._load()

    def on_one_image_resized(self) -> None:
        """Request the images around a large one, if there is room for others than those that are there."""
        if self.view is View.IMAGE and self.one.strip and not self.one.strip_is(self._wanted()):
            self._load()

    # What keys and clicks do

    def action_step(self, by: int) -> None:
        if self.view is View.FILM:
            self.player.step(by)
        elif self.selection.pager.step(by):
            self._show_selected()

    def action_row(self, by: int) -> None:
        if self.view is View.CLASSES:
            self.query_one(ClassTable).step(by)
        elif self.selection.pager.step(by * self.grid.columns):
            self._show_selected()

    def action_turn(self, by: int) -> None:
        if self.selection.pager.turn(by):
            self._show_selected()

    def action_ends(self, end: int) -> None:
        pager = self.selection.pager
        if self.view is View.CLASSES:
            self.query_one(ClassTable).step(len(self.query_one(ClassTable).rows) * (1 if end else -1))
        elif self.view is View.FILM:
            self.action_step(len(self.player.film.frames) * (1 if end else -1))
        elif pager.jump(len(pager.order) if end else 0):
            self._show_selected()

    def action_open(self) -> None:
        if self.view is View.CLASSES:
            self.query_one(ClassTable).open()
            return
        if self.weights is None:
            if self.note == NO_MODEL:
                self._load()  # try again
            else:
                self.app.notify(STILL_LOADING, severity="warning")
            return
        self._change_view(View.IMAGE)
        self._show([self.grid.pairs[self.selection.pager.place - self.selection.pager.start]])
        self.on_one_image_resized()

    def on_one_image_picked(self, message: OneImage.Picked) -> None:
        if self.selection.pager.find(message.index):
            self._show_selected()

    def on_pair_grid_opened(self, message: PairGrid.Opened) -> None:
        if self.view is View.PAGE and self.weights is not None:
            self.selection.pager.jump(self.selection.pager.start + message.number)
            self.action_open()

    def action_close(self) -> None:
        self.player.play(False)
        self._change_view(View.PAGE)
        self._load()

    def action_choose_class(self, by: int) -> None:
        if (test_set := self.selection.test_set) is None:
            return
        if not test_set.has_classes and not self.selection.marked:
            self.app.notify(NO_CLASSES, timeout=4)
            return
        self.selection.turn_class(by)
        self._show_new_list()

    def action_order(self) -> None:
        self._put_in(self.selection.order.other)
        self._show_new_list()

    def _put_in(self, order: Order) -> None:
        self.selection.order = order
        if self.session.alive:
            self.selection.errors = None  # the weights have changed since the errors were measured
        self.preferences.worst_first = order is Order.WORST
        self.post_message(PreferencesChanged())

    def action_measure(self) -> None:
        self.selection.errors = None
        if self.selection.order is Order.INDEX and self.view is not View.CLASSES:
            self._put_in(Order.WORST)
        self._load()

    def action_classes(self) -> None:
        if self.view is View.CLASSES:
            self.action_close()
        elif self.selection.test_set is not None and not self.selection.test_set.has_classes:
            self.app.notify(NO_CLASSES, timeout=4)
        elif self.selection.test_set is not None:
            self._change_view(View.CLASSES)
            self._load()

    def on_class_table_opened(self, message: ClassTable.Opened) -> None:
        """List the images of a class, the worst first: the table is there to find them."""
        self.selection.label, self.selection.order = message.label, Order.WORST
        self._change_view(View.PAGE)
        self._show_new_list()

    def action_freeze(self) -> None:
        if not self.session.alive:
            self.app.notify("Nothing moves: the run is not training.", severity="warning")
            return
        self.frozen = not self.frozen
        self._refresh_status()
        if not self.frozen:
            self._load()

    def action_size(self) -> None:
        room = self.grid.turn_size()
        self.preferences.image_size = self.grid.wish
        if not room:
            self.app.notify("There is no room here for pairs of full size; enter shows one image large.", timeout=4)
            return
        self.post_message(PreferencesChanged())
        self.grid.redraw()
        self._refresh_status()
        if self.view is View.PAGE:
            self._load()

    def action_difference(self) -> None:
        self.grid.differences = not self.grid.differences
        self.grid.redraw()
        self._refresh_status()

    async def action_film(self) -> None:
        if self.view is View.FILM:
            self.player.turn()
        elif len((film := await self.player.read()).frames) > 1:
            self._change_view(View.FILM)
            self.player.begin(film)
        else:
            self.app.notify("No previews to play yet: an epoch saves one.", severity="warning")
            return
        self._show_frame()
