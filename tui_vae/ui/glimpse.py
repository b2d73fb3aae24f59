"""What is known of a run before its log has been read: a long one takes seconds, its newest figures do not."""

from __future__ import annotations

import asyncio

from tui_vae.runs.history import History, read_newest
from tui_vae.runs.summary import state_of
from tui_vae.ui.session import RunSession


class Glimpse:
    """The session's history, or until that has caught up, the ends of the log."""

    def __init__(self, session: RunSession) -> None:
        self._session = session
        self._newest: History | None = None
        self._state = "loading"

    async def look(self) -> None:
        self._newest = await asyncio.to_thread(read_newest, self._session.directory.events)
        if self._newest is not None:
            self._state = await asyncio.to_thread(state_of, self._session.directory, self._newest.state)

    @property
    def history(self) -> History:
        return self._session.history if self._newest is None or self._session.caught_up else self._newest

    @property
    def state(self) -> str:
        return self._session.state if self._newest is None or self._session.caught_up else self._state

    @property
    def partial(self) -> bool:
        """Whether most of the run is still to be read."""
        return not self._session.caught_up
