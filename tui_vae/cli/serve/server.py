"""The web server: textual-serve's pages and websockets behind a secret, with all that they need on this machine."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp_jinja2
from aiohttp import WSCloseCode, web
from textual_serve.server import Server, to_int

from tui_vae.cli.serve.app_process import AppProcess
from tui_vae.cli.serve.guard import why_refused

PAGE = Path(__file__).parent / "page"
"""The page that holds the terminal: textual-serve's own loads a font from elsewhere."""

TITLE = "tui-vae"

HEARTBEAT_SECONDS = 15
"""How often a tab is asked whether it is still there: one whose connection was lost says no goodbye."""

SHUTDOWN_SECONDS = 15
"""How long the tabs' apps have to end with the server; each of them is killed sooner."""

FONT_SIZES = range(6, 61)
"""Pixels that `?fontsize=` may ask for, 16 by default."""

COLUMNS, ROWS = range(1, 2001), range(1, 1001)
"""Sizes of a terminal that are believed."""

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self'; img-src 'self' data:; connect-src 'self' {websocket}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address is the key
    "X-Content-Type-Options": "nosniff",
}
"""The page loads nothing from anywhere else, tells nobody its address, and is shown inside no other one."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AppServer(Server):
    """Serves one app a tab at `/SECRET/`.

    words: the command of the app. names: under which the machine may be asked (`why_refused`).
    """

    def __init__(self, words: Sequence[str], secret: str, names: Collection[str]) -> None:
        super().__init__(command="", title=TITLE, templates_path=PAGE)
        self._words, self._secret, self._names = words, secret, names
        self._tabs: set[web.WebSocketResponse] = set()

    async def serve_until_told(self, listening: socket.socket, ready: Callable[[], None]) -> int:
        """Serve until a signal ends it, then end the apps of all tabs. Return the signal's number.

        `ready` is called once the address can be opened.
        """
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for number in ENDS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as of `nohup`
                asyncio.get_running_loop().add_signal_handler(number, self._told, ended, number)
        runner = web.AppRunner(await self._make_app(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.SockSite(runner, listening).start()
            ready()
            return await ended
        finally:
            await runner.cleanup()

    @staticmethod
    def _told(ended: asyncio.Future[int], number: int) -> None:
        if not ended.done():
            ended.set_result(number)

    async def _make_app(self) -> web.Application:
        inside = await super()._make_app()
        inside.router.add_static("/page", PAGE)
        app = web.Application(middlewares=[self._guarded])
        app.router.add_get(f"/{self._secret}", self._with_slash)
        app.add_subapp(f"/{self._secret}/", inside)
        return app

    async def _with_slash(self, request: web.Request) -> web.StreamResponse:
        """The page's address, from which it finds what it needs, ends in a slash."""
        raise web.HTTPPermanentRedirect(f"/{self._secret}/")

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path, host, origin = request.rel_url.raw_path, request.host, request.headers.get("Origin")
        refusal = why_refused(path, host, origin, self._secret, self._names)
        if refusal:
            return web.Response(status=403, text=f"{refusal}\n")
        try:
            response = await handler(request)
        except web.HTTPException as error:  # a page that is not there, or that is elsewhere
            response = web.Response(status=error.status, text=f"{error.reason}\n", headers=error.headers)
        if not response.prepared:
            response.headers.update({name: each.format(websocket=f"ws://{host}") for name, each in HEADERS.items()})
        return response

    async def on_startup(self, app: web.Application) -> None:
        """Nothing: textual-serve prints its logo."""

    async def on_shutdown(self, app: web.Application) -> None:
        """Close every tab's websocket, which ends its app."""
        await asyncio.gather(*(tab.close(code=WSCloseCode.GOING_AWAY) for tab in self._tabs))

    @aiohttp_jinja2.template("index.html")
    async def handle_index(self, request: web.Request) -> dict[str, Any]:
        """The page; it opens the websocket under the name that the browser knows this machine by."""
        size = to_int(request.query.get("fontsize", ""), 16)
        return {
            "title": self.title,
            "font_size": min(max(size, FONT_SIZES.start), FONT_SIZES.stop - 1),
            "websocket": f"ws://{request.host}/{self._secret}/ws",
        }

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run an app for as long as its tab is open."""
        tab = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS)
        await tab.prepare(request)
        app = AppProcess(self._words, tab, self.download_manager)
        width, height = (to_int(request.query.get(name, ""), 0) for name in ("width", "height"))
        self._tabs.add(tab)
        try:
            await app.start(width if width in COLUMNS else 80, height if height in ROWS else 24)
            with suppress(
                AssertionError, LookupError, TypeError, ValueError, AttributeError
            ):  # what no page of ours says
                await self._process_messages(tab, app)
        finally:
            self._tabs.discard(tab)
            await tab.close()
            await app.stop()
        return tab
