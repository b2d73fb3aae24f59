"""What the keys of Latent do, and clicks."""

from __future__ import annotations

from textual.geometry import Size

from tui_vae.ui.dialogs import AskNumber
from tui_vae.ui.images.picture import Picture
from tui_vae.ui.images.renderer import FULL
from tui_vae.ui.latent.choices import Choices
from tui_vae.ui.latent.image_board import ImageBoard
from tui_vae.ui.latent.keys import VIEWS, View
from tui_vae.ui.latent.kl_bars import KlBars
from tui_vae.ui.latent.kl_views import KlViews
from tui_vae.ui.latent.plane import Plane
from tui_vae.ui.latent.plane_view import CursorImage, Scatter
from tui_vae.ui.messages import LookInLatent, PreferencesChanged
from tui_vae.ui.model_pane import NO_MODEL, ModelPane
from tui_vae.ui.model_status import ModelStatus
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences
from tui_vae.ui.test_set import NO_CLASSES, TestSet


class LatentActions(ModelPane):
    """The part of the pane that answers keys; `LatentPane` adds the part that asks the model and shows its answers."""

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__(session, preferences)
        self.view: View = View.PLANE
        self.plane: Plane | None = None
        """None before the model's first answer."""
        self.choices = Choices()
        self.sampled = b""
        """The latents of the samples on show, little-endian float32."""
        self.looked_at: tuple[Picture, bytes] | None = None
        """The sample whose nearest training images are shown, and its latent."""

    @property
    def scatter(self) -> Scatter:
        return self.query_one(Scatter)

    @property
    def tab(self) -> View:
        """The view that the keys have turned to; another may stand in front of it."""
        return View.SAMPLES if self.view is View.NEAREST else self.view

    @property
    def board(self) -> ImageBoard:
        """The page of images in front, of a view that is one."""
        return self.query_one(f"#latent-{self.view.value}", ImageBoard)

    @property
    def test_set(self) -> TestSet:
        run, plane = self.history.run, self.plane
        classes = run.dataset.classes if run else ()
        return TestSet(classes, plane.labels, len(plane.xs)) if plane else TestSet(classes, b"")

    @property
    def room(self) -> Size:
        """The size of any view, whether it is in front or not."""
        return self.query_one("#latent-views").size

    def _load_plane(self) -> None:
        raise NotImplementedError

    def _follow(self) -> None:
        raise NotImplementedError

    def _refresh_images(self, following: bool = False) -> None:
        raise NotImplementedError

    def _change_view(self, view: View) -> None:
        raise NotImplementedError

    def _show_bars(self, plane: Plane) -> None:
        raise NotImplementedError

    def look_at(self, wish: LookInLatent) -> None:
        """Show a test image: traversals through its latent, or the interpolation to it."""
        if wish.to_it:
            if wish.first is not None:
                self._set_end("a", wish.first)
            self._set_end("b", wish.index)
            self._change_view(View.INTERPOLATE)
            return
        self.choices.image = wish.index
        self._set_end("a", wish.index)
        self._point_at_image()
        self._change_view(View.TRAVERSE)

    def _point_at_image(self) -> None:
        """Put the cursor on the test image that traversals go through, if there is one on the plane."""
        plane, image = self.plane, self.choices.image
        if plane is not None and image is not None and image < len(plane.xs):
            self.scatter.cursor = plane.xs[image], plane.ys[image]
            self.scatter.redraw()

    def action_turn_view(self, by: int) -> None:
        self._change_view(VIEWS[(VIEWS.index(self.tab) + by) % len(VIEWS)])

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
                row = self.query_one(KlViews).row
                self._choose_dimension(plane, self.choices.place(plane) + (across or row * down))
            case View.GRID:
                self.choices.turn_axis(plane, across, -down)
                self._refresh_status()
                self._refresh_images()
            case View.SAMPLES:
                self._choose_sample(self.choices.sample + across + down * self.board.board(self.room).columns)
            case View.INTERPOLATE:
                letter, by = ("b", across) if across else ("a", down)
                self._set_end(letter, (plane.ends(self.choices.ends)["ab".index(letter)] + by) % len(plane.xs))

    def _choose_dimension(self, plane: Plane, place: int) -> None:
        self.choices.select(plane, place)
        self._show_bars(plane)
        self._refresh_images()

    def _choose_sample(self, place: int) -> None:
        board = self.board
        if 0 <= place < len(board.pictures):
            self.choices.sample = board.selected = place
            board.redraw()

    def on_kl_bars_pointed(self, message: KlBars.Pointed) -> None:
        if self.plane is not None:
            self._choose_dimension(self.plane, message.place)

    def action_far(self, across: int, down: int) -> None:
        if self.plane is not None and self.scatter.move(across, down):
            self._moved()

    def _moved(self) -> None:
        """Show the cursor at once, and its image as soon as the trainer answers between two steps."""
        self.choices.image = None
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
        elif self.note == NO_MODEL:
            self._refresh_images()
        elif self.view is View.KL:
            self._change_view(View.TRAVERSE)
        elif self.view is View.SAMPLES:
            self._look_at_sample()
        else:
            nearest = self.plane.nearest(*self.scatter.cursor)
            if nearest is not None:
                self.scatter.cursor = self.plane.xs[nearest], self.plane.ys[nearest]
                self._moved()

    def _look_at_sample(self) -> None:
        """Show the training images nearest to the selected sample."""
        place, size = self.choices.sample, len(self.sampled) // max(1, len(self.board.pictures))
        if not size or place >= len(self.board.pictures):
            return
        self.looked_at = self.board.pictures[place].image, self.sampled[place * size : (place + 1) * size]
        self._change_view(View.NEAREST)
        self.board.show([])

    def action_back(self) -> None:
        self._change_view(View.SAMPLES)

    def action_form(self) -> None:
        if self.view is View.KL:
            self.query_one(KlViews).turn()
        else:
            self.choices.sphere = not self.choices.sphere
            self._refresh_images()
        self._refresh_status()

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
        if self.view is View.SAMPLES:
            self.choices.turn_sample_class(by, len(image.names))
            self._refresh_status()
            self._refresh_images()
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
        if self.plane is None:
            self.app.notify("There are no images yet: the model has not answered.", timeout=4)
            return
        board = self.board
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
