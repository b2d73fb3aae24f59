"""Latent: the plane under a cursor, traversals, interpolations, samples and the KL of each dimension."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.geometry import Size
from textual.widgets import Static

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.ui.dialogs import AskNumber
from tui_vae.ui.images.renderer import FULL, cells
from tui_vae.ui.latent.answers import decode_cursor, interpolate, sample, traverse
from tui_vae.ui.latent.choices import Choices
from tui_vae.ui.latent.image_board import ImageBoard
from tui_vae.ui.latent.keys import ACTIONS, BINDINGS, VIEWS, View
from tui_vae.ui.latent.kl_bars import KlBars
from tui_vae.ui.latent.plane import Plane, plane_of
from tui_vae.ui.latent.plane_view import CursorImage, Scatter
from tui_vae.ui.latent.status import items_of
from tui_vae.ui.messages import PreferencesChanged
from tui_vae.ui.model_pane import NO_MODEL, ModelPane
from tui_vae.ui.model_status import Item, ModelStatus, StatusFacts
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences
from tui_vae.ui.terminal import legible
from tui_vae.ui.test_set import NO_CLASSES, TestSet

FOLLOW_SECONDS = 0.5
"""Seconds between checks for newer weights than those that made what is shown."""

PLANE_SECONDS = 5.0
"""Seconds, at least, between two requests for the plane that only follow the weights: each costs the trainer a pass
over the test set."""

IMAGE_SECONDS = 1.0
"""Seconds, at least, between two requests for the images of a view that only follow the weights."""

LOADING, ENCODING = "the model is being loaded …", "the test images are being encoded …"


class LatentPane(ModelPane, can_focus=True):
    """Five views, one of them in front. All of them follow the newest weights."""

    BINDINGS: ClassVar[list[BindingType]] = BINDINGS
    STYLE_SHEET = "latent.tcss"

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__(session, preferences)
        self.view = View.PLANE
        self.plane: Plane | None = None
        """None before the model's first answer."""
        self.choices = Choices()
        self._requesting_plane = False
        """Whether a request for the plane is under way."""
        self._requesting_images = False
        """Whether a request for images is under way."""
        self._stale = False
        """Whether the images must be requested again, since the choices have changed after the last request."""
        self._plane_requested_at = self._images_requested_at = 0.0
        """When the plane and the images were last requested, by the monotonic clock."""

    def compose(self) -> ComposeResult:
        yield ModelStatus()
        yield Static(id="latent-message", markup=False)
        with Vertical(id="latent-views"):
            with Horizontal(id="latent-plane"):
                yield Scatter()
                yield CursorImage()
            yield ImageBoard(head=1, odd=True, id="latent-traverse")
            yield ImageBoard(foot=1, id="latent-interpolate")
            yield ImageBoard(foot=1, id="latent-samples")
            yield KlBars()

    def on_mount(self) -> None:
        for board in self.query(ImageBoard):
            board.wish = self.preferences.image_size
        self.set_interval(FOLLOW_SECONDS, self._follow)
        self._change_view(View.PLANE)
        self._load_plane()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.view in ACTIONS.get(action, set(View)) or (action == "open" and self.plane is None)

    def makes_sense_now(self, action: str) -> bool:
        if self.plane is None:
            return action in ("open", "turn_view")
        return self.session.alive if action == "freeze" else self.has_classes or action != "choose_class"

    @property
    def scatter(self) -> Scatter:
        return self.query_one(Scatter)

    @property
    def test_set(self) -> TestSet:
        run, plane = self.history.run, self.plane
        classes = run.dataset.classes if run else ()
        return TestSet(classes, plane.labels, len(plane.xs)) if plane else TestSet(classes, b"")

    @property
    def room(self) -> Size:
        """The size of any view, whether it is in front or not."""
        return self.query_one("#latent-views").size

    def refresh_history(self) -> None:
        if self.note == NO_MODEL and self.session.alive and self.plane is None:
            self._load_plane()  # a trainer has started since
        self._refresh_status()

    def on_resize(self, event: Resize) -> None:
        image = self.query_one(CursorImage)
        image.styles.width = cells(image.scale_for(event.size)).width
        self.call_after_refresh(self._refresh_images)

    # Requests to the model

    def _follow(self) -> None:
        """Request from the newest weights what is on the screen; once the run has ended, do so one last time."""
        if not self.watched or self.frozen or self.plane is None:
            return
        now, alive = time.monotonic(), self.session.alive
        wanted = not alive or (self.view is not View.SAMPLES and now - self._plane_requested_at >= PLANE_SECONDS)
        if wanted and self._freshness.outdated(self.plane.step):
            self._load_plane()
        shown = self.weights[1] if self.weights else self.plane.step
        if alive and now - self._images_requested_at >= IMAGE_SECONDS and self._freshness.outdated(shown):
            self._refresh_images()

    def _load_plane(self) -> None:
        if not self._requesting_plane:
            self._requesting_plane, self._plane_requested_at = True, time.monotonic()
            self.run_worker(self._loading_plane(), group="plane")

    def try_again(self) -> None:
        self._load_plane()

    async def _loading_plane(self) -> None:
        if self.plane is None:
            self._say(LOADING if self.session.server is None else ENCODING)
        try:
            reply = await self.session.ask(protocol.Map(), protocol.LatentMap)
            await self.session.wait_for_run_event()
        except UserError as error:
            self._fail(error)
            return
        finally:
            self._requesting_plane = False
        first = self.plane is None
        self.plane = plane_of(reply, self.plane)
        if self.weights is None or self.weights[1] < reply.step:
            self.weights = reply.epoch, reply.step
        if first:
            self.scatter.cursor = self.plane.home
            self.choices.dimension = self.choices.order(self.plane)[0]
        self._say("")
        self._show_plane(self.plane)
        self._refresh_images()

    def _fail(self, error: UserError) -> None:
        """Say in full why the model does not answer: in the middle before its first answer, else in a notification."""
        if self.plane is not None:
            self._notify_failure(error)
        self._say(NO_MODEL)
        if self.plane is None:
            self.query_one("#latent-message", Static).update(self.sentences(error))

    def _refresh_images(self) -> None:
        """Request the images of the view in front: at once, or when the request under way is answered.

        That next request is for what is chosen by then. What was passed over in between is never requested.
        """
        self._stale = self.plane is not None
        if self._stale and not self._requesting_images:
            self._requesting_images = True
            self.run_worker(self._loading_images(), group="images")

    async def _loading_images(self) -> None:
        """Request images until the latest request is for what is chosen now."""
        try:
            while self._stale and self.plane is not None:
                self._stale, self._images_requested_at = False, time.monotonic()
                try:
                    reply = await self._request_images(self.plane)
                except UserError as error:
                    self._fail(error)  # what a later key asks for is requested all the same
                else:
                    self._answered(reply)
        finally:
            self._requesting_images = False

    def _answered(self, reply: protocol.Images | protocol.Samples | None) -> None:
        if reply is None:
            return
        self.weights = reply.epoch, reply.step
        self.note = ""
        if self.plane is not None and reply.step != self.plane.step and not self.session.alive:
            self._load_plane()  # the run has ended since
        self._refresh_status()

    async def _request_images(self, plane: Plane) -> protocol.Images | protocol.Samples | None:
        """Request the images of the view in front and show them; None where it has none, or no room for any.

        Raises:
            UserError: the model cannot be asked.
        """
        choices = self.choices
        match self.view:
            case View.PLANE:
                image = self.query_one(CursorImage)
                return await decode_cursor(self.session, image, plane, self.scatter.cursor, self.test_set)
            case View.TRAVERSE:
                board = self.query_one("#latent-traverse", ImageBoard)
                base = plane.latent(*self.scatter.cursor)
                return await traverse(self.session, board, self.room, plane, choices, base)
            case View.INTERPOLATE:
                board = self.query_one("#latent-interpolate", ImageBoard)
                return await interpolate(self.session, board, self.room, plane.ends(choices.ends), self.test_set)
            case View.SAMPLES:
                board = self.query_one("#latent-samples", ImageBoard)
                return await sample(self.session, board, self.room, choices.source, choices.seed)
        return None

    # What is on screen

    def _change_view(self, view: View) -> None:
        self.view = view
        self.query_one("#latent-message").display = self.plane is None
        self.query_one("#latent-views").display = self.plane is not None
        self.query_one("#latent-plane").display = view is View.PLANE
        for each in (View.TRAVERSE, View.INTERPOLATE, View.SAMPLES):
            self.query_one(f"#latent-{each.value}").display = view is each
        self.query_one(KlBars).display = view is View.KL
        self.refresh_bindings()
        self._refresh_status()
        self.call_after_refresh(self._refresh_images)

    def _show_plane(self, plane: Plane) -> None:
        if not self.query_one("#latent-views").display:
            self._change_view(self.view)
        self.query_one(CursorImage).names = self.test_set.names_of(plane.labels)
        self.scatter.show(plane)
        self._show_bars(plane)

    def _show_bars(self, plane: Plane) -> None:
        self.query_one(KlBars).show(plane, self.choices.order(plane), self.choices.place(plane))

    def _say(self, note: str) -> None:
        if self.plane is None and note in (LOADING, ENCODING):
            self.query_one("#latent-message", Static).update(legible(note))
        super()._say(note)

    def facts(self) -> StatusFacts:
        items: tuple[Item, ...] = ()
        if self.plane is not None:
            newest_step = self.weights[1] if self.weights else self.plane.step
            items = items_of(self.view, self.plane, self.choices, self.scatter.cursor, self.test_set, newest_step)
        names = tuple(view.value for view in VIEWS)
        return StatusFacts(items, self.weights_text(), self.live, self.note, names, VIEWS.index(self.view))

    # What keys and clicks do

    def action_turn_view(self, by: int) -> None:
        self._change_view(VIEWS[(VIEWS.index(self.view) + by) % len(VIEWS)])

    def on_model_status_chosen(self, message: ModelStatus.Chosen) -> None:
        self._change_view(VIEWS[message.view])

    def action_move(self, across: int, down: int) -> None:
        plane = self.plane
        if plane is None:
            return
        match self.view:
            case View.PLANE:
                self.action_far(across, down)
            case View.TRAVERSE:
                self._choose_dimension(plane, self.choices.place(plane) + (down or across))
            case View.KL:
                self._choose_dimension(plane, self.choices.place(plane) + (across or down))
            case View.INTERPOLATE:
                letter, by = ("b", across) if across else ("a", down)
                self._set_end(letter, (plane.ends(self.choices.ends)["ab".index(letter)] + by) % len(plane.xs))

    def _choose_dimension(self, plane: Plane, place: int) -> None:
        self.choices.select(plane, place)
        self._show_bars(plane)
        self._refresh_images()

    def on_kl_bars_pointed(self, message: KlBars.Pointed) -> None:
        if self.plane is not None:
            self._choose_dimension(self.plane, message.place)

    def action_far(self, across: int, down: int) -> None:
        if self.plane is not None and self.scatter.move(across, down):
            self._moved()

    def _moved(self) -> None:
        """Show the cursor at once, and its image as soon as the trainer answers between two steps."""
        self.scatter.redraw()
        self._refresh_images()

    def on_scatter_pointed(self, message: Scatter.Pointed) -> None:
        self.scatter.cursor = message.point
        self._moved()

    def action_home(self) -> None:
        if self.plane is not None:
            self.scatter.cursor = self.plane.home
            self._moved()
            self._refresh_status()

    def action_open(self) -> None:
        if self.plane is None:
            self._load_plane()
        elif self.view is View.KL:
            self._change_view(View.TRAVERSE)
        else:
            nearest = self.plane.nearest(*self.scatter.cursor)
            if nearest is not None:
                self.scatter.cursor = self.plane.xs[nearest], self.plane.ys[nearest]
                self._moved()

    def action_mark(self, letter: str) -> None:
        plane = self.plane
        if plane is None:
            return
        if self.view is View.PLANE:
            nearest = plane.nearest(*self.scatter.cursor)
            if nearest is not None:
                self._set_end(letter, nearest)
        else:
            now = plane.ends(self.choices.ends)["ab".index(letter)]
            question = AskNumber(f"Test image {letter}", "Index", now, 0, len(plane.xs) - 1)
            self.app.push_screen(question, lambda index: None if index is None else self._set_end(letter, index))

    def _set_end(self, letter: str, index: int) -> None:
        self.choices.ends[letter] = index
        self.scatter.marks = self.choices.ends
        self.scatter.redraw()
        self._refresh_status()
        self._refresh_images()

    def action_choose_class(self, by: int) -> None:
        image = self.query_one(CursorImage)
        if self.plane is None:
            return
        if not self.test_set.has_classes:
            self.app.notify(NO_CLASSES, timeout=4)
            return
        self.choices.turn_class(by, len(image.names))
        self.scatter.label = image.label = self.choices.label
        self.scatter.redraw()
        image.redraw()
        self._refresh_status()

    def action_signs(self) -> None:
        self.scatter.marks_only = not self.scatter.marks_only
        self.scatter.redraw()

    def action_order(self) -> None:
        self.choices.by_kl = not self.choices.by_kl
        if self.plane is not None:
            self._show_bars(self.plane)
        self._refresh_status()
        self._refresh_images()

    def action_draw(self) -> None:
        self.choices.draw_seed()
        self._refresh_images()

    def action_source(self) -> None:
        self.choices.turn_source()
        self._refresh_status()
        self._refresh_images()

    def action_size(self) -> None:
        board = self.query_one(f"#latent-{self.view.value}", ImageBoard)
        before = board.board(self.room)
        wish = "half" if before.scale == FULL else "full"
        for each in self.query(ImageBoard):
            each.wish = wish
        if board.board(self.room) == before:
            self.app.notify("There is no room here for images of full size.", timeout=4)
            return
        self.preferences.image_size = wish
        self.post_message(PreferencesChanged())
        self._refresh_images()

    def action_freeze(self) -> None:
        self.frozen = not self.frozen
        self._refresh_status()
        self._follow()
