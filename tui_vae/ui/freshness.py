"""Whether what is on the screen was made by older weights than there are now."""

from __future__ import annotations

from tui_vae.ui.session import RunSession


class Freshness:
    """Tells a pane when to request anew.

    While a trainer lives, it is told to whenever there are newer weights. After a run has ended it is told once: the
    process that then answers may have older weights, and the pane would request from it again and again.
    """

    def __init__(self, session: RunSession) -> None:
        self._session = session
        self._ended_at: int | None = None
        """The last step of the ended run whose final weights were due; None while a trainer lives."""

    def outdated(self, step: int) -> bool:
        """Whether there are newer weights than those of a step, and the pane should request from them."""
        session = self._session
        if session.newest_step <= step or session.state not in ("training", "paused", "finished", "stopped"):
            return False
        before, self._ended_at = self._ended_at, None if session.alive else session.newest_step
        return session.alive or before != self._ended_at
