"""What keys do with the selected image of Browse: mark it, go to another, look at it in Latent."""

from __future__ import annotations

from tui_vae.ui.browse.pair_grid import PairGrid
from tui_vae.ui.browse.selection import Order, Selection
from tui_vae.ui.dialogs import AskNumber
from tui_vae.ui.messages import LookInLatent, PreferencesChanged
from tui_vae.ui.model_pane import ModelPane
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences


class ImageActions(ModelPane):
    """The part of the pane that acts on the selected image; `BrowsePane` adds the part that shows images."""

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__(session, preferences)
        marked = self.preferences.marks.get(str(session.directory.path), [])
        self.selection = Selection(Order.WORST if self.preferences.worst_first else Order.INDEX, marked)
        self._from: int | None = None
        """The test image from which an interpolation goes, where the user has chosen it."""

    @property
    def grid(self) -> PairGrid:
        return self.query_one(PairGrid)

    def _load(self) -> None:
        raise NotImplementedError

    def _show_selected(self) -> None:
        raise NotImplementedError

    @property
    def _current(self) -> int | None:
        """The selected test image, once the model has shown it."""
        return None if self.weights is None else self.selection.pager.current

    def action_look(self) -> None:
        """Show in Latent what traversals through the selected image lead to."""
        if (index := self._current) is not None:
            self.post_message(LookInLatent(index))

    def action_end(self, letter: str) -> None:
        """Begin an interpolation at the selected image; or end it there, and show it in Latent."""
        if (index := self._current) is None:
            return
        if letter == "b":
            self.post_message(LookInLatent(index, to_it=True, first=self._from))
            return
        self._from = index
        self.app.notify(f"a is #{index}; b on another image shows the way from a to it.", timeout=4, markup=False)

    def action_mark(self) -> None:
        index = self._current
        if index is None:
            return
        listed = self.selection.label
        self.selection.toggle_mark(index)
        self.preferences.mark(self.session.directory.path, self.selection.marked)
        self.post_message(PreferencesChanged())
        if self.selection.label != listed:
            self._load()
        self.grid.marked = frozenset(self.selection.marked)
        self.grid.redraw()
        self._refresh_status()

    def action_go_to(self) -> None:
        if self.selection.test_set is not None:
            current, last = self.selection.pager.current, len(self.selection.test_set) - 1
            self.app.push_screen(AskNumber("Go to a test image", "Index", current, 0, last), self._go_to)

    def _go_to(self, index: int | None) -> None:
        if index is not None:
            self.selection.go_to(index)
            self._show_selected()
