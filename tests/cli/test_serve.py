"""`serve`: the app in a browser, for the one who has the address, and for nobody else."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.support.commands import assert_one_sentence
from tests.support.fake_run import make_run
from tests.support.processes import SMALL, command, finish, wait_until
from tests.support.served import CHROMIUM, QUIET, Screen, Served, ended, needs_chromium, needs_serve
from tui_vae.cli.serve import command as serve_command
from tui_vae.cli.serve.guard import is_loopback, why_refused
from tui_vae.runs.directory import RunDirectory

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse

SECRET = "s3-_cret"  # noqa: S105


@pytest.mark.parametrize(
    ("path", "host", "origin", "answered"),
    [
        ("/s3-_cret/", "127.0.0.1:8000", None, True),
        ("/s3-_cret", "localhost:9000", None, True),  # through ssh -L, from another port
        ("/s3-_cret/ws", "[::1]:8000", "http://[::1]:8000", True),
        ("/s3-_cret/ws", "Server:8000", "http://server:8000", True),
        ("/", "127.0.0.1:8000", None, False),
        ("/static/js/textual.js", "127.0.0.1:8000", None, False),
        ("/x/s3-_cret/", "127.0.0.1:8000", None, False),
        ("/s3-_cre", "127.0.0.1:8000", None, False),
        ("/s3-_crett/ws", "127.0.0.1:8000", None, False),
        ("//s3-_cret/", "127.0.0.1:8000", None, False),
        ("/s3-_cret/", "evil.example", None, False),  # a name that was bent to 127.0.0.1
        ("/s3-_cret/", "127.0.0.1.evil.example:8000", None, False),
        ("/s3-_cret/", "localhost:port", None, False),
        ("/s3-_cret/", "", None, False),
        ("/s3-_cret/ws", "127.0.0.1:8000", "http://evil.example", False),
        ("/s3-_cret/ws", "127.0.0.1:8000", "http://127.0.0.1:9000", False),
        ("/s3-_cret/ws", "127.0.0.1:8000", "null", False),
        ("/\udcff\udcfe", "127.0.0.1:8000", None, False),
    ],
)
def test_who_is_answered(path: str, host: str, origin: str | None, answered: bool) -> None:
    assert bool(why_refused(path, host, origin, SECRET, {"server"})) != answered


def test_what_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.3.2.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "server", "")))  # noqa: S104


def get(address: str, headers: Mapping[str, str] | None = None) -> tuple[int, str, Mapping[str, str]]:
    """Status, text and headers of an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=dict(headers or {}))) as answer:  # noqa: S310
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)


@needs_serve
def test_without_the_secret_nothing_is_answered(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with Served(tmp_path / "runs") as served:
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
        for path in ("", "static/js/textual.js", "page/page.js", "ws", "download/x", "nonsense"):
            status, text, _ = get(served.at(path, secret=False), upgrade if path == "ws" else None)
            assert status == 403 and "lacks the secret" in text, path
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            for path in ("", "static/js/textual.js", "ws"):
                assert get(served.at(path), (upgrade if path == "ws" else {}) | headers)[0] == 403, (path, headers)
        assert not served.apps()
        status, page, told = get(served.address)
        assert status == 200 and get(served.address.removesuffix("/"))[:2] == (200, page)
        assert "frame-ancestors 'none'" in told["Content-Security-Policy"] and told["Referrer-Policy"] == "no-referrer"
        assert f"ws://127.0.0.1:{served.address.split(':')[2].split('/')[0]}/{served.secret}/ws" in page
        assert page.count("://") == 1  # all else is of this server, too
        assert get(served.at("static/js/textual.js"))[0] == 200 and get(served.at("nonsense"))[0] == 404


async def _until(screen: Screen, tab: ClientWebSocketResponse, words: str) -> None:
    async with asyncio.timeout(60):
        while words not in screen.text():
            screen.heard((await tab.receive()).data)


@pytest.mark.slow
@needs_serve
def test_a_tab_ends_its_app_and_ctrl_c_all_of_them_and_training_goes_on(own_runs: Path) -> None:
    long = ("train", "--detach", "--name", "long", "--epochs", 10_000, *SMALL)
    assert finish(command(*long))[0] == 0
    run = RunDirectory(own_runs / "long")

    async def look(served: Served) -> None:
        from aiohttp import ClientSession

        async with ClientSession() as session:
            tabs = [await session.ws_connect(served.at("ws?width=110&height=30")) for _ in range(2)]
            for tab in tabs:
                screen = Screen(110, 30)
                await _until(screen, tab, "long")
                await tab.send_json(["stdin", "4"])
                await _until(screen, tab, "test loss")
            one, other = await asyncio.to_thread(served.apps)
            await tabs[0].close()
            await asyncio.to_thread(wait_until, lambda: len(served.apps()) == 1)
            assert run.is_training()
            await tabs[1].send_str("no JSON at all")  # what no page of ours says ends that tab alone
            await asyncio.to_thread(ended, [one, other])
            tabs.append(await session.ws_connect(served.at("ws")))
            await _until(Screen(80, 24), tabs[-1], "long")
            apps = await asyncio.to_thread(served.apps)
            assert await asyncio.to_thread(served.interrupt) == 130
            await asyncio.to_thread(ended, apps)

    with Served(own_runs) as served:
        asyncio.run(look(served))
    assert run.is_training()


@pytest.mark.slow
@needs_serve
def test_an_app_whose_server_is_killed_ends(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "demo", epochs=2)

    async def look(served: Served) -> None:
        from aiohttp import ClientSession

        async with ClientSession() as session, session.ws_connect(served.at("ws")) as tab:
            await _until(Screen(80, 24), tab, "demo")
            apps = served.apps()
            assert len(apps) == 1
            os.kill(served.process.pid, signal.SIGKILL)
            await asyncio.to_thread(ended, apps)

    with Served(tmp_path / "runs") as served:
        asyncio.run(look(served))


@pytest.mark.slow
@needs_serve
@needs_chromium
def test_a_browser_shows_curves_and_pictures_and_hears_keys_and_the_mouse(tmp_path: Path) -> None:
    from playwright.sync_api import WebSocket, sync_playwright

    make_run(tmp_path / "runs", "demo", epochs=6)
    with Served(tmp_path / "runs") as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = browser.new_page(viewport={"width": 1300, "height": 760})
        asked: list[str] = []
        sizes: list[tuple[int, int]] = []
        screen = Screen(400, 120)

        def sent(payload: str | bytes) -> None:
            kind, *rest = json.loads(payload)
            if kind == "resize":
                sizes.append((rest[0]["width"], rest[0]["height"]))

        page.on("request", lambda request: asked.append(request.url))

        def opened(tab: WebSocket) -> None:
            tab.on("framereceived", screen.heard)
            tab.on("framesent", sent)

        page.on("websocket", opened)

        def until(words: str) -> None:
            for _ in range(600):
                if words in screen.text():
                    return
                page.wait_for_timeout(100)  # which also lets the messages come in
            raise AssertionError(f"no {words!r} in {screen.text()}")

        def is_drawn() -> bool:
            """Whether the page has the images, in true colour, and the colours of both curves and of the ground."""
            with Image.open(io.BytesIO(page.screenshot())) as image:
                colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20) or ()}
            return len(colours) > 200 and {(0xFF, 0xAF, 0x5F), (0x5F, 0xAF, 0xD7), (0x12, 0x12, 0x12)} <= colours

        page.goto(served.address)
        until("demo")
        page.keyboard.press("ArrowUp")  # from the first recipe to the last run
        until("enter open")
        page.keyboard.press("Enter")
        until("reconstruction")
        wait_until(is_drawn)
        page.keyboard.press("Control+z")  # no process is suspended
        columns, rows = sizes[-1]
        tab = screen.text().splitlines()[1].index("4 Runs")
        page.mouse.click((tab + 1) * 1300 / columns, 1.5 * 760 / rows)
        until("by started")
        page.keyboard.press("q")
        page.get_by_text("The app of this tab has ended").wait_for(state="visible")
        page.get_by_role("button").click()
        page.wait_for_url(served.address)
        until("what demo has learnt")
        assert asked and all(each.startswith((served.address, "data:")) for each in asked)
        apps = served.apps()
        assert len(apps) == 1
        browser.close()
        ended(apps)


@needs_serve
def test_a_port_that_is_taken_and_an_address_that_is_not_here(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = finish(command("serve", "--runs-dir", tmp_path, "--port", port))
    assert_one_sentence(taken, 1, f"port {port} is another program's; choose another, or any free one: --port 0")
    elsewhere = finish(command("serve", "--runs-dir", tmp_path, "--host", "192.0.2.1"))
    assert_one_sentence(elsewhere, 1, "nothing can listen at '192.0.2.1': Cannot assign requested address; name")
    longest = finish(command("serve", "--runs-dir", tmp_path, "--host", "a" * 64))
    assert_one_sentence(longest, 1, "is no name of a machine; name an address of this machine")


@needs_serve
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_an_address_that_nobody_can_read_ends_the_server(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        code, _, err = finish(command("serve", "--runs-dir", tmp_path, "--port", 0, stdout=full))
    assert_one_sentence((code, "", err), 1, "standard output cannot be written: No space left on device")


@needs_serve
def test_an_address_for_other_machines_is_warned_of(tmp_path: Path) -> None:
    with Served(tmp_path, "--host", "0.0.0.0") as served:  # noqa: S104
        assert served.interrupt() == 130
        _, err = served.process.communicate()
    assert_one_sentence((0, "", err), 0, "is reached from other machines, and nothing is encrypted")


def test_without_textual_serve_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tui_vae.cli import main

    monkeypatch.setattr(serve_command, "find_spec", lambda name: None)
    assert main(["serve", "--runs-dir", str(tmp_path)]) == 1
    assert "pip install textual-serve" in capsys.readouterr().err
