#!/usr/bin/env bash
# textual-serve ends an app with its tab; when the server itself is killed, the apps of its tabs stay for ever.
#
# Seen with textual-serve 1.1.3, textual 8.2.8 and aiohttp 3.14.5, Python 3.11, Linux, on 29 November 2026. Each tab's app is a
# process whose standard input and output are pipes of the server.
#
# Guess before it was run: an app ends as a program in a terminal does when the terminal goes: the end of its input, or of who reads its output,
# ends it.
#
# What it does: when the browser's connection is closed, the app is gone within a second or two, since the server sends it a word to quit. When the
# server is killed, that word never comes: the app's input is at its end and nobody reads its output, but the process still lives 15 seconds
# later (100, when somebody waited so long), idle, and belongs to init. In textual's source the thread that reads the input returns at its end
# and tells nobody.
#
# What follows: a server that the system kills for its memory, or a supervisor after its patience, leaves one process for each tab that was
# open, with all the memory that the app has. Who serves a Textual app ends it from within when its input ends, or when its parent is another
# than at its start.
#
# Exit status: 0 while it is so, 1 when they behave otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "textual-serve==1.1.3" "textual==8.2.8" "aiohttp==3.14.5"
cat >"$folder/app.py" <<'PYTHON'
import os
import sys

from textual.app import App, ComposeResult
from textual.widgets import Static


class Hello(App[None]):
    def compose(self) -> ComposeResult:
        yield Static("hello")

    def on_mount(self) -> None:
        with open(sys.argv[1], "w") as file:
            file.write(f"{os.getpid()}\n")


Hello().run()
PYTHON
cat >"$folder/serve.py" <<'PYTHON'
import sys

from textual_serve.server import Server

app, note, port = sys.argv[1:]
Server(f"{sys.executable} {app} {note}", port=int(port)).serve()
PYTHON
cat >"$folder/watch.py" <<'PYTHON'
import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

HERE = Path(sys.argv[1])


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def connected(session: aiohttp.ClientSession, port: int) -> aiohttp.ClientWebSocketResponse:
    for _ in range(300):
        try:
            return await session.ws_connect(f"http://127.0.0.1:{port}/ws?width=80&height=24")
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    sys.exit("the server does not answer")


async def app_stays(end: str) -> bool:
    """Whether an app still lives 15 seconds after its tab, or its server, has ended so."""
    note = HERE / end
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [sys.executable, HERE / "serve.py", HERE / "app.py", note, str(port)]
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    async with aiohttp.ClientSession() as session:
        tab = await connected(session, port)
        await tab.send_json(["resize", {"width": 80, "height": 24}])
        until = time.monotonic() + 60
        while not (note.exists() and note.read_text().endswith("\n")):
            if time.monotonic() > until:
                sys.exit("the app does not start")
            try:
                await tab.receive(timeout=0.2)
            except asyncio.TimeoutError:
                pass
        pid = int(note.read_text())
        if end == "tab":
            await tab.close()
        else:
            server.send_signal(getattr(signal, end))
        until = time.monotonic() + 15
        while lives(pid) and time.monotonic() < until:
            await asyncio.sleep(0.1)
    stays = lives(pid)
    print(f"{end}: the app {'lives on' if stays else 'has ended'}", flush=True)
    if stays:
        os.kill(pid, signal.SIGKILL)
    server.kill()
    server.wait()
    return stays


seen = [asyncio.run(app_stays(end)) for end in ("tab", "SIGKILL")]
sys.exit(0 if seen == [False, True] else 1)
PYTHON
"$folder/venv/bin/python" "$folder/watch.py" "$folder" || exit 1
