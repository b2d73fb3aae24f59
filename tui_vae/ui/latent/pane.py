"""Latent: the plane under a cursor, traversals, interpolations, samples and the KL of each dimension."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.widgets import Static

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.ui.figure_file import Figure
from tui_vae.ui.images.renderer import cells
from tui_vae.ui.latent import answers
from tui_vae.ui.latent.actions import LatentActions
from tui_vae.ui.latent.figure import figure_of
from tui_vae.ui.latent.image_board import PATH, ImageBoard
from tui_vae.ui.latent.keys import ACTIONS, BINDINGS, BOARDS, DESCRIPTIONS, VIEWS, WAITING, View
from tui_vae.ui.latent.kl_views import KlViews
from tui_vae.ui.latent.plane import Plane, plane_of
from tui_vae.ui.latent.plane_view import CursorImage, Scatter
from tui_vae.ui.latent.status import items_of
from tui_vae.ui.model_pane import NO_MODEL
from tui_vae.ui.model_status import Item, ModelStatus, StatusFacts
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences
from tui_vae.ui.terminal import legible

FOLLOW_SECONDS = 0.5
"""Seconds between checks for newer weights than those that made what is shown."""

PLANE_SECONDS = 5.0
"""Seconds, at least, between two requests for the plane that only follow the weights: each costs the trainer a pass
over the test set."""

IMAGE_SECONDS = 1.0
"""Seconds, at least, between two requests for the images of a view that only follow the weights."""

WAITING_SECONDS = 0.3
"""Seconds after which it is said what images are being waited for, where older ones stand there: mostly the answer is
faster."""

Reply = protocol.Images | protocol.Samples | protocol.Neighbours
"""Replies with images, which name the weights that made them."""

LOADING, ENCODING = "the model is being loaded …", "the test images are being encoded …"


class LatentPane(LatentActions, can_focus=True):
    """Several views, one of them in front. All of them follow the newest weights."""

    BINDINGS: ClassVar[list[BindingType]] = BINDINGS
    STYLE_SHEET, DESCRIPTIONS = "latent.tcss", DESCRIPTIONS

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__(session, preferences)
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
            yield ImageBoard(least=PATH, id="latent-grid")
            yield ImageBoard(head=1, odd=True, least=PATH, id="latent-traverse")
            yield ImageBoard(foot=1, least=PATH, id="latent-interpolate")
            yield ImageBoard(foot=1, id="latent-samples")
            yield ImageBoard(head=1, foot=1, id="latent-nearest")
            yield KlViews(self.session)

    def begin(self) -> None:
        for board in self.query(ImageBoard):
            board.wish = self.preferences.image_size
        self.set_interval(FOLLOW_SECONDS, self._follow)
        self._change_view(View.PLANE)
        self._load_plane()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.view in ACTIONS.get(action, set(View)) or (action == "open" and self.plane is None)

    def makes_sense_now(self, action: str) -> bool:
        if self.plane is None:
            return action == "turn_view" or (action == "open" and self.can_open)
        return self.may_open_or_freeze(action) and (self.has_classes or action != "choose_class")

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
        if self.view is View.KL:
            self.query_one(KlViews).follow()
        shown = self.weights[1] if self.weights else self.plane.step
        moves = alive and self.view is not View.NEAREST  # whose sample stays as it was, and whose answer is costly
        if moves and now - self._images_requested_at >= IMAGE_SECONDS and self._freshness.outdated(shown):
            self._refresh_images(following=True)

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
            self._point_at_image()
            self.choices.dimension = self.choices.order(self.plane)[0]
        self._say("")
        self._show_plane(self.plane)
        self._refresh_images()

    def _fail(self, error: UserError) -> None:
        """Say in full why the model does not answer: in the middle before its first answer, else in a notification."""
        if self.plane is not None:
            self._notify_failure(error)
        self._say(NO_MODEL)
        for board in self.query(ImageBoard):
            board.wait_for(NO_MODEL)
        if self.plane is None:
            self.query_one("#latent-message", Static).update(self.sentences(error))

    def _refresh_images(self, following: bool = False) -> None:
        """Request the images of the view in front: at once, or when the request under way is answered.

        That next request is for what is chosen by then. What was passed over in between is never requested.
        `following`: because of newer weights alone, and not of a key; then nothing says that it is being waited for.
        """
        self._stale = self.plane is not None
        if self._stale and not following:
            self._say_what_for()
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

    def _say_what_for(self) -> None:
        """Say what is being waited for: in the middle of an empty page at once, else above it if it takes long."""
        if self.view in WAITING:
            self.board.wait_for(WAITING[self.view])

        def say() -> None:
            if self._requesting_images and self.view in WAITING and self.board.pictures and not self.note:
                self._say(WAITING[self.view])

        self.set_timer(WAITING_SECONDS, say)

    def _answered(self, reply: Reply | None) -> None:
        if reply is None:
            return
        self.weights = reply.epoch, reply.step
        self.note = ""
        if self.plane is not None and reply.step != self.plane.step and not self.session.alive:
            self._load_plane()  # the run has ended since
        self._refresh_status()

    async def _request_images(self, plane: Plane) -> Reply | None:
        """Request the images of the view in front and show them; None where it has none, or no room for any.

        Raises:
            UserError: the model cannot be asked.
        """
        choices, session, room, cursor = self.choices, self.session, self.room, self.scatter.cursor
        match self.view:
            case View.PLANE:
                image = self.query_one(CursorImage)
                return await answers.decode_cursor(session, image, plane, cursor, self.test_set)
            case View.GRID:
                base = await answers.base_of(session, plane, cursor, choices.image)
                return await answers.decode_grid(session, self.board, room, plane, choices, base)
            case View.TRAVERSE:
                base = await answers.base_of(session, plane, cursor, choices.image)
                return await answers.traverse(session, self.board, room, plane, choices, base)
            case View.INTERPOLATE:
                ends = plane.ends(choices.ends)
                return await answers.interpolate(session, self.board, room, ends, self.test_set, choices.sphere)
            case View.SAMPLES:
                reply = await answers.sample(session, self.board, room, choices)
                self.sampled = reply.z
                return reply
            case View.NEAREST if self.looked_at is not None:
                sample, z = self.looked_at
                return await answers.nearest(session, self.board, room, sample, z, self.test_set)
        return None

    # What is on screen

    def _change_view(self, view: View) -> None:
        self.view = view
        self.query_one("#latent-message").display = self.plane is None
        self.query_one("#latent-views").display = self.plane is not None
        self.query_one("#latent-plane").display = view is View.PLANE
        for each in BOARDS:
            self.query_one(f"#latent-{each.value}").display = view is each
        self.query_one(KlViews).display = view is View.KL
        if view is View.KL:
            self.query_one(KlViews).follow()
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
        self.query_one(KlViews).show(plane, self.choices.order(plane), self.choices.place(plane))

    def _say(self, note: str) -> None:
        if self.plane is None and note in (LOADING, ENCODING):
            self.query_one("#latent-message", Static).update(legible(note))
        super()._say(note)

    def figure(self) -> Figure | None:
        """The plane with the test images' posterior means by class, or the bars of the KL."""
        return None if self.plane is None else figure_of(self.plane, self.view, self.test_set)

    def facts(self) -> StatusFacts:
        items: tuple[Item, ...] = ()
        if self.plane is not None:
            newest_step = self.weights[1] if self.weights else self.plane.step
            cursor, face = self.scatter.cursor, self.query_one(KlViews).face.value
            items = items_of(self.view, self.plane, self.choices, cursor, self.test_set, newest_step, face)
        names = tuple(view.value for view in VIEWS)
        return StatusFacts(items, self.weights_text(), self.live, self.note, names, VIEWS.index(self.tab))
