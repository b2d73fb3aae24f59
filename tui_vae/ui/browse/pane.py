"""Browse: the test set as originals beside reconstructions, from the newest weights."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.ui.browse.classes import ClassTable
from tui_vae.ui.browse.facts import facts_of
from tui_vae.ui.browse.film_player import FilmPlayer
from tui_vae.ui.browse.keys import ACTIONS, BINDINGS, View
from tui_vae.ui.browse.status import BrowseStatus
from tui_vae.ui.browse.views import OneImage, PairGrid
from tui_vae.ui.dialogs import AskNumber
from tui_vae.ui.film import Film
from tui_vae.ui.messages import PreferencesChanged
from tui_vae.ui.model_pane import NO_MODEL, ModelPane
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences
from tui_vae.ui.test_set import MARKED, ImageErrors, Order, Pager, Pair, TestSet, image_errors, pairs_of

LIVE_SECONDS = 2.0
MEASURE_SECONDS = 10.0
"""Between two measurements that nobody asked for: one takes the trainer a pass over the test set."""
PATIENCE = 0.3


class BrowsePane(ModelPane, can_focus=True):
    """Pages of pairs; one image large; the previews as a time-lapse."""

    BINDINGS: ClassVar[list[BindingType]] = BINDINGS
    STYLE_SHEET = "browse.tcss"

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__(session, preferences)
        self.view = View.PAGE
        self.pager = Pager()
        self.player = FilmPlayer(self, session, self._show_frame)
        self.test_set: TestSet | None = None
        self.errors: ImageErrors | None = None
        self.label: int | None = None
        self.order = Order.WORST if self.preferences.worst_first else Order.INDEX
        self.marked = self.preferences.marks.get(str(session.directory.path), [])
        self._measured_at = 0.0

    def compose(self) -> ComposeResult:
        yield BrowseStatus()
        with Vertical():
            yield PairGrid()
            yield OneImage()
            yield ClassTable()

    def on_mount(self) -> None:
        self.grid.wish = self.preferences.image_size
        self.set_interval(LIVE_SECONDS, self._follow)
        self._change_view(View.PAGE)
        self._load()
        self.run_worker(self._show_saved(), group="saved")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.view in ACTIONS.get(action, set(View))

    def makes_sense_now(self, action: str) -> bool:
        return action != "freeze" or self.session.alive

    @property
    def grid(self) -> PairGrid:
        return self.query_one(PairGrid)

    @property
    def one(self) -> OneImage:
        return self.query_one(OneImage)

    @property
    def film(self) -> Film:
        return self.player.film

    def refresh_history(self) -> None:
        self._refresh_status()

    def on_pair_grid_resized(self) -> None:
        if self.view is View.PAGE and self.test_set and self.grid.capacity != self.pager.capacity:
            self._load()

    def _load(self) -> None:
        """Bring what is on screen up to date with place, order and weights. A newer call replaces an older one."""
        self.run_worker(self._loading(), group="load", exclusive=True)

    async def _loading(self) -> None:
        try:
            test_set = self.test_set or await self._load_test_set()
            if self.errors is None and (self.order is Order.WORST or self.view is View.CLASSES):
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
        if wanted != self._wanted():  # the screen's size changed meanwhile
            self._load()
            return
        self.note = ""
        self.weights = reply.epoch, reply.step
        self._show(pairs_of(reply, test_set))

    def _fail(self, error: UserError) -> None:
        self._notify_failure(error)
        self._say(NO_MODEL)

    async def _measure(self) -> None:
        self._say("measuring the error of every test image …")
        self.errors = image_errors(await self.session.ask(protocol.TestErrors(), protocol.Errors))
        self._measured_at = time.monotonic()
        if self.order is Order.WORST:
            self._reorder(keep=self.view is View.IMAGE)

    def _show_classes(self, test_set: TestSet) -> None:
        if self.errors is not None:
            self.note = ""
            self.weights = self.weights or (self.errors.epoch, self.errors.step)
            self.query_one(ClassTable).show(test_set.by_class(self.errors.errors))
            self._refresh_status()

    async def _load_test_set(self) -> TestSet:
        self._say("the model is being loaded …")
        description = await self.session.ask(protocol.Describe(), protocol.Description)
        self.test_set = TestSet(description.classes, description.labels)
        self._reorder()
        return self.test_set

    def _wanted(self) -> list[int]:
        """The test images that belong on the screen now."""
        self.pager.capacity = self.grid.capacity
        if self.view is View.IMAGE:
            return self.pager.stretch(max(1, self.one.neighbours))
        return self.pager.shown

    def _reorder(self, keep: bool = False) -> None:
        """Make the list of images anew, from its start or at the image that was selected."""
        if self.test_set is None:
            return
        current = self.pager.current
        errors = self.errors.errors if self.errors and self.order is Order.WORST else None
        self.pager.order = self.test_set.chosen(self.label, errors, self.marked)
        if not (keep and current is not None and self.pager.find(current)):
            self.pager.place = 0

    async def _show_saved(self) -> None:
        """What is there without a model, until the model answers; a living process mostly answers at once."""
        if self.session.holder is not None:
            await asyncio.sleep(PATIENCE)
        await self.session.wait_for_run_event()
        if self.weights is None:
            film = await self.player.read(newest_only=True)
            if self.weights is None and self.view is View.PAGE:
                self.player.film = film
                self.grid.show(film.pairs, None)
                self._refresh_status()

    def _show(self, pairs: list[Pair]) -> None:
        if self.view is View.IMAGE:
            here = next(pair for pair in pairs if pair.index == self.pager.current)
            place = f"{self.pager.place + 1:,} of {len(self.pager.order):,}"
            self.one.show(here, place, pairs)
        elif self.view is View.PAGE:
            self.grid.marked = frozenset(self.marked)
            self.grid.show(pairs, self.pager.place - self.pager.start)
        self._refresh_status()

    def _follow(self) -> None:
        """The newest weights, every other second, for what can be seen; those that the run ended with, once."""
        if not self.watched or self.frozen or self.view is View.FILM or self.weights is None:
            return
        of_classes = self.view is View.CLASSES
        if of_classes and self.session.alive and time.monotonic() - self._measured_at < MEASURE_SECONDS:
            return
        shown = self.errors.step if of_classes and self.errors else self.weights[1]
        if not self._freshness.outdated(shown):
            return
        if self.session.holder is None:
            self._say("the final weights are being loaded …")
        if of_classes:
            self.action_measure()
        else:
            self._load()

    # What the keys do

    def action_step(self, by: int) -> None:
        if self.view is View.FILM:
            self.player.step(by)
        elif self.pager.step(by):
            self._moved()

    def action_row(self, by: int) -> None:
        if self.view is View.CLASSES:
            self.query_one(ClassTable).step(by)
        elif self.pager.step(by * self.grid.columns):
            self._moved()

    def action_turn(self, by: int) -> None:
        if self.pager.turn(by):
            self._moved()

    def action_ends(self, end: int) -> None:
        if self.view is View.FILM:
            self.action_step(len(self.film.frames) * (1 if end else -1))
        elif self.pager.jump(len(self.pager.order) if end else 0):
            self._moved()

    def _moved(self) -> None:
        """The selection moved: within the page that is shown, only its mark does."""
        start = self.pager.start
        on_page = [pair.index for pair in self.grid.pairs] == self.pager.shown
        if self.view is View.PAGE and on_page:
            self.grid.select(self.pager.place - start)
            self._refresh_status()
        elif self.view is View.IMAGE and self.one.strip_is(self._wanted()):
            self._show(self.one.strip)
        else:
            self._refresh_status()
            self._load()

    def action_open(self) -> None:
        if self.view is View.CLASSES:
            self.query_one(ClassTable).open()
            return
        if self.weights is None:
            if self.note == NO_MODEL:
                self._load()  # once more
            else:
                self.app.notify("The model is still being loaded; these are saved previews.", severity="warning")
            return
        self._change_view(View.IMAGE)
        self._show([self.grid.pairs[self.pager.place - self.pager.start]])
        self.on_one_image_resized()

    def on_one_image_resized(self) -> None:
        """Ask for the images around a large one, if there is room for others than those that are there."""
        if self.view is View.IMAGE and self.one.strip and not self.one.strip_is(self._wanted()):
            self._load()

    def on_one_image_picked(self, message: OneImage.Picked) -> None:
        if self.pager.find(message.index):
            self._moved()

    def on_pair_grid_opened(self, message: PairGrid.Opened) -> None:
        if self.view is View.PAGE and self.weights is not None:
            self.pager.jump(self.pager.start + message.number)
            self.action_open()

    def action_close(self) -> None:
        self.player.play(False)
        self._change_view(View.PAGE)
        self._load()

    def action_choose_class(self, by: int) -> None:
        if self.test_set is None:
            return
        choices = [None, *range(len(self.test_set.classes)), *([MARKED] if self.marked else [])]
        self.label = choices[(choices.index(self.label) + by) % len(choices)]
        self._begin_anew()

    def action_order(self) -> None:
        self._put_in(self.order.other)
        self._begin_anew()

    def _put_in(self, order: Order) -> None:
        self.order = order
        if self.session.alive:
            self.errors = None  # the weights have changed since
        self.preferences.worst_first = order is Order.WORST
        self.post_message(PreferencesChanged())

    def _begin_anew(self) -> None:
        """At the start of another list of images."""
        self._reorder()
        self._refresh_status()
        self._load()

    def action_measure(self) -> None:
        self.errors = None
        if self.order is Order.INDEX and self.view is not View.CLASSES:
            self._put_in(Order.WORST)
        self._load()

    def action_classes(self) -> None:
        if self.view is View.CLASSES:
            self.action_close()
        elif self.test_set is not None:
            self._change_view(View.CLASSES)
            self._load()

    def on_class_table_opened(self, message: ClassTable.Opened) -> None:
        """The images of a class, the worst first: what the table was opened for."""
        self.label, self.order = message.label, Order.WORST
        self._change_view(View.PAGE)
        self._begin_anew()

    def action_mark(self) -> None:
        index = self.pager.current
        if index is None or self.weights is None:
            return
        others = [each for each in self.marked if each != index]
        self.marked = others if index in self.marked else [*others, index]
        self.preferences.mark(self.session.directory.path, self.marked)
        self.post_message(PreferencesChanged())
        if self.label == MARKED and not self.marked:
            self.label = None
            self._begin_anew()
        self.grid.marked = frozenset(self.marked)
        self.grid.redraw()
        self._refresh_status()

    def action_go_to(self) -> None:
        if self.test_set is None:
            return
        last = len(self.test_set) - 1
        self.app.push_screen(AskNumber("Go to a test image", "Index", self.pager.current, 0, last), self._go_to)

    def _go_to(self, index: int | None) -> None:
        if index is None:
            return
        if not self.pager.find(index):  # it is of another class
            self.label = None
            self._reorder()
            self.pager.find(index)
        self._moved()

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

    def _show_frame(self) -> None:
        self.grid.show(self.film.pairs, None)
        self._refresh_status()

    def _change_view(self, view: View) -> None:
        self.view = view
        self.grid.display = view in (View.PAGE, View.FILM)
        self.one.display = view is View.IMAGE
        self.query_one(ClassTable).display = view is View.CLASSES
        self.refresh_bindings()
        self._refresh_status()

    def _refresh_status(self) -> None:
        if self.is_mounted:
            self.query_one(BrowseStatus).facts = facts_of(self)
