"""Whether what is on screen was made by older weights than there are now."""

from __future__ import annotations

from tui_vae.ui.session import RunSession


class Freshness:
    """Looks after one pane. Weights of a living trainer go on changing; an ended run's final ones are due once, even if
    whoever answers for it should have older ones."""

    def __init__(self, session: RunSession) -> None:
        self._session = session
        self._ended_at: int | None = None

    def outdated(self, step: int) -> bool:
        """Whether there are newer weights than those of a step, and it is time to ask for them."""
        session = self._session
        if session.history.step <= step or session.state not in ("training", "paused", "finished", "stopped"):
            return False
        before, self._ended_at = self._ended_at, None if session.alive else session.history.step
        return session.alive or before != self._ended_at
