"""Browse: the test set as originals beside reconstructions, from the newest weights."""

from __future__ import annotations

import asyncio
from array import array
from enum import Enum
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widget import Widget

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.ui.browse_status import BrowseFacts, BrowseStatus, Item
from tui_vae.ui.browse_views import OneImage, PairGrid
from tui_vae.ui.catalogue import Catalogue, Order, Pager, Pair, errors_of, pairs_of
from tui_vae.ui.dialogs import AskNumber
from tui_vae.ui.previews import Film, read_film
from tui_vae.ui.session import RunSession

LIVE_SECONDS = 2.0
FRAME_SECONDS = 0.25
PATIENCE = 0.3
NO_MODEL = "the model does not answer; enter tries again"


class View(Enum):
    PAGE = "page"
    IMAGE = "image"
    FILM = "film"


class BrowsePane(Widget, can_focus=True):
    """Pages of pairs; one image large; the previews as a time-lapse."""

    PAGING = Binding.Group("page")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "previous", id="browse.left", show=False, tooltip="Previous image, or frame"),
        Binding("right", "step(1)", "next", id="browse.right", show=False, tooltip="Next image, or frame"),
        Binding("up", "row(-1)", "up", id="browse.up", show=False, tooltip="The image above"),
        Binding("down", "row(1)", "down", id="browse.down", show=False, tooltip="The image below"),
        Binding("pagedown,j", "turn(1)", "next page", id="browse.page-down", group=PAGING,
                tooltip="Next page (also j)"),
        Binding("pageup,k", "turn(-1)", "previous page", id="browse.page-up", group=PAGING,
                tooltip="Previous page (also k)"),
        Binding("home", "ends(0)", "first", id="browse.home", show=False, tooltip="First image"),
        Binding("end", "ends(-1)", "last", id="browse.end", show=False, tooltip="Last image"),
        Binding("enter", "open", "large", id="browse.open", tooltip="The selected image large, with its difference"),
        Binding("escape", "close", "back", id="browse.close", tooltip="Back to the page"),
        Binding("c", "choose_class(1)", "class", id="browse.class", tooltip="Only one class: the next one"),
        Binding("C", "choose_class(-1)", "class back", id="browse.class-back", show=False,
                tooltip="Only one class: the one before"),
        Binding("o", "order", "order", id="browse.order", tooltip="By index, or by error, the worst first"),
        Binding("g", "go_to", "go to", id="browse.go-to", tooltip="Go to a test image by its index"),
        Binding("t", "film", "time-lapse", id="browse.film", tooltip="Play how the preview images were learnt"),
        Binding("f", "freeze", "freeze", id="browse.freeze", tooltip="Freeze the images, or follow the newest weights"),
        Binding("p", "app.turn_pen", "colours", id="browse.palette", tooltip="Light on black, or ink on paper"),
        Binding("z", "size", "size", id="browse.size", tooltip="Images at full or half size"),
    ]  # fmt: skip

    ACTIONS: ClassVar[dict[str, set[View]]] = {
        "step": {View.PAGE, View.IMAGE, View.FILM},
        "row": {View.PAGE},
        "turn": {View.PAGE},
        "ends": {View.PAGE, View.IMAGE, View.FILM},
        "open": {View.PAGE},
        "close": {View.IMAGE, View.FILM},
        "choose_class": {View.PAGE},
        "order": {View.PAGE},
        "go_to": {View.PAGE, View.IMAGE},
        "film": {View.PAGE, View.FILM},
        "freeze": {View.PAGE, View.IMAGE},
        "size": {View.PAGE, View.FILM},
    }
    """In which views an action makes sense; those not named do everywhere."""

    def __init__(self, session: RunSession) -> None:
        super().__init__()
        self.session = session
        self.view = View.PAGE
        self.pager = Pager()
        self.film = Film()
        self.catalogue: Catalogue | None = None
        self.errors: array[float] | None = None
        self.label: int | None = None
        self.order = Order.INDEX
        self.frozen = False
        self.note = ""
        self.weights: tuple[int, int] | None = None
        """Epoch and step of the weights that made what is shown; None while that is a saved preview."""
        self._portrait_index: int | None = None

    def compose(self) -> ComposeResult:
        yield BrowseStatus()
        with Vertical():
            yield PairGrid()
            yield OneImage()

    def on_mount(self) -> None:
        self.set_interval(LIVE_SECONDS, self._follow)
        self._reel = self.set_interval(FRAME_SECONDS, self._next_frame, pause=True)
        self._change_view(View.PAGE)
        self._load()
        self.run_worker(self._show_saved(), group="saved")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.view in self.ACTIONS.get(action, set(View))

    def timely(self, action: str) -> bool:
        return action != "freeze" or self.session.alive

    @property
    def grid(self) -> PairGrid:
        return self.query_one(PairGrid)

    @property
    def watched(self) -> bool:
        """Whether anybody can see the pane."""
        return self.display and self.screen.is_current

    @property
    def live(self) -> bool:
        """Whether the weights are changing and the images follow them."""
        return self.session.alive and not self.frozen

    def refresh_history(self) -> None:
        self._refresh_status()

    def on_pair_grid_resized(self) -> None:
        if self.view is View.PAGE and self.catalogue and self.grid.capacity != self.pager.capacity:
            self._load()

    # Loading

    def _load(self) -> None:
        """Bring what is on screen up to date with place, order and weights. A newer call replaces an older one."""
        self.run_worker(self._loading(), group="load", exclusive=True)

    async def _loading(self) -> None:
        try:
            catalogue = self.catalogue or await self._open_catalogue()
            if self.order is Order.WORST and self.errors is None:
                self._say("measuring the error of every test image …")
                self.errors = errors_of(await self.session.ask(protocol.TestErrors(), protocol.Errors))
                self._reorder()
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
        self._show(pairs_of(reply, catalogue))

    def _fail(self, error: UserError) -> None:
        """Say once, in full, what is wrong; the line above the images only that something is."""
        if self.note != NO_MODEL:
            self.app.notify(str(error), title="The model cannot be asked", severity="error", markup=False)
        self._say(NO_MODEL)

    async def _open_catalogue(self) -> Catalogue:
        self._say("the model is being loaded …")
        description = await self.session.ask(protocol.Describe(), protocol.Description)
        self.catalogue = Catalogue(description.classes, description.labels)
        self._reorder()
        return self.catalogue

    def _wanted(self) -> list[int]:
        """The test images that belong on the screen now."""
        self.pager.capacity = self.grid.capacity
        if self.view is View.IMAGE:
            return [] if self.pager.current is None else [self.pager.current]
        return self.pager.shown

    def _reorder(self, keep: bool = False) -> None:
        """Make the list of images anew, from its start or at the image that was selected."""
        if self.catalogue is None:
            return
        current = self.pager.current
        errors = self.errors if self.order is Order.WORST else None
        self.pager.order = self.catalogue.chosen(self.label, errors)
        if not (keep and current is not None and self.pager.find(current)):
            self.pager.place = 0

    async def _show_saved(self) -> None:
        """What is there without a model, until the model answers; a living process mostly answers at once."""
        if self.session.holder is not None:
            await asyncio.sleep(PATIENCE)
        if self.weights is None:
            folder = self.session.directory.previews
            film = await asyncio.to_thread(read_film, folder, self._class_names, newest_only=True)
            if self.weights is None and self.view is View.PAGE:
                self.film = film
                self.grid.show(film.pairs, None)
                self._refresh_status()

    @property
    def _class_names(self) -> tuple[str, ...]:
        return self.session.history.run.dataset.classes if self.session.history.run else ()

    def _show(self, pairs: list[Pair]) -> None:
        if self.view is View.IMAGE:
            self.query_one(OneImage).show(pairs[0], f"{self.pager.place + 1:,} of {len(self.pager.order):,}")
        elif self.view is View.PAGE:
            self.grid.show(pairs, self.pager.place - self.pager.start)
        self._refresh_status()

    def _follow(self) -> None:
        """The newest weights, every other second, for what can be seen."""
        if not self.watched or not self.live or self.view is View.FILM or self.weights is None:
            return
        if self.session.state == "training" and self.session.history.step > self.weights[1]:
            self._load()

    # What the keys do

    def action_step(self, by: int) -> None:
        if self.view is View.FILM:
            self._play(False)
            self.film.step(by)
            self._show_frame()
        elif self.pager.step(by):
            self._moved()

    def action_row(self, by: int) -> None:
        if self.pager.step(by * self.grid.columns):
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
        else:
            self._refresh_status()
            self._load()

    def action_open(self) -> None:
        if self.weights is None:
            if self.note == NO_MODEL:
                self._load()  # once more
            else:
                self.app.notify("The model is still being loaded; these are saved previews.", severity="warning")
            return
        self._change_view(View.IMAGE)
        self._show([self.grid.pairs[self.pager.place - self.pager.start]])

    def on_pair_grid_opened(self, message: PairGrid.Opened) -> None:
        if self.view is View.PAGE and self.weights is not None:
            self.pager.jump(self.pager.start + message.number)
            self.action_open()

    def action_close(self) -> None:
        self._play(False)
        self._change_view(View.PAGE)
        self._load()

    def action_choose_class(self, by: int) -> None:
        if self.catalogue is None:
            return
        count = len(self.catalogue.classes)
        number = ((-1 if self.label is None else self.label) + 1 + by) % (count + 1) - 1
        self.label = None if number < 0 else number
        self._reorder()
        self._refresh_status()
        self._load()

    def action_order(self) -> None:
        self.order = self.order.other
        self.errors = None  # the weights have changed since they were measured
        self._reorder()
        self._refresh_status()
        self._load()

    def action_go_to(self) -> None:
        if self.catalogue is None:
            return
        last = len(self.catalogue) - 1
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
        self.grid.turned = not self.grid.turned
        self.grid.redraw()
        if self.view is View.PAGE:
            self._load()

    # The time-lapse

    async def action_film(self) -> None:
        if self.view is not View.FILM:
            self.film = await asyncio.to_thread(read_film, self.session.directory.previews, self._class_names)
            if len(self.film.frames) < 2:
                self.app.notify("No previews to play yet: an epoch saves one.", severity="warning")
                return
            self.film.position = 0
            self._change_view(View.FILM)
            self._play(True)
        else:
            if not self.film.playing and self.film.position == len(self.film.frames) - 1:
                self.film.position = 0
            self._play(not self.film.playing)
        self._show_frame()

    def _play(self, on: bool) -> None:
        self.film.playing = on
        if on:
            self._reel.reset()
            self._reel.resume()
        else:
            self._reel.pause()

    def _next_frame(self) -> None:
        if self.watched:
            if not self.film.step(1):
                self._play(False)
            self._show_frame()

    def _show_frame(self) -> None:
        self.grid.show(self.film.pairs, None)
        self._refresh_status()

    # The line above the images

    def _change_view(self, view: View) -> None:
        self.view = view
        self.grid.display = view is not View.IMAGE
        self.query_one(OneImage).display = view is View.IMAGE
        self.refresh_bindings()
        self._refresh_status()

    def _say(self, note: str) -> None:
        self.note = note
        self._refresh_status()

    def _refresh_status(self) -> None:
        if self.is_mounted:
            self.query_one(BrowseStatus).facts = self._facts()

    def _facts(self) -> BrowseFacts:
        film = self.film
        if self.view is View.FILM:
            frames = f"{film.position + 1}/{len(film.frames)}"
            playing = "playing" if film.playing else "halted"
            return BrowseFacts((Item("time-lapse", playing, "t"), Item("frame", frames, "← →")), f"epoch {film.epoch}")
        if self.weights is None:
            saved = f"saved previews of epoch {film.epoch}; " if film.frames else ""
            return BrowseFacts((), note=saved + self.note if self.note else "")
        label = "all" if self.label is None or self.catalogue is None else self.catalogue.name(self.label)
        pager, (epoch, step) = self.pager, self.weights
        place = (
            Item("image", f"{pager.place + 1:,}/{len(pager.order):,}", "← →")
            if self.view is View.IMAGE
            else Item("page", f"{pager.page + 1:,}/{pager.pages:,}")
        )
        items = [Item("class", label, "c"), Item("order", self.order.value, "o"), place]
        if self.view is View.PAGE:
            items.append(Item("images", f"{len(pager.order):,}"))
        frozen = "frozen at " if self.frozen and self.session.alive else ""
        return BrowseFacts(tuple(items), f"{frozen}epoch {epoch} · step {step:,}", self.live, self.note)
