"""A pane that has nothing to show yet says what it waits for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_run import FakeProcess, make_run
from tests.support.latent_pane import latent
from tests.support.latent_process import LatentProcess
from tests.support.piloting import in_event_loop, opened, screen, seen, until
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.app import TuiVae
from tui_vae.ui.latent.image_board import ImageBoard
from tui_vae.ui.latent.kl_split import Distributions
from tui_vae.ui.latent.pane import LatentPane


@contextmanager
def held(process: FakeProcess, *kinds: type[Any]) -> Iterator[threading.Event]:
    """Requests of these kinds are answered only once the event is set, which it is at the end in any case."""
    free, answer = threading.Event(), process._answer

    def late(request: protocol.AnyRequest) -> protocol.AnyReply:
        if isinstance(request, kinds):
            free.wait(30)
        return answer(request)

    process._answer = late  # type: ignore[method-assign]
    try:
        yield free
    finally:
        free.set()


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        (1, "the grid is being decoded"),
        (2, "the traversals are being decoded"),
        (3, "the images from a to b are being decoded"),
        (4, "the samples are being drawn"),
    ],
)
def test_an_empty_page_of_latent_says_what_it_waits_for(run: RunDirectory, turns: int, words: str) -> None:
    @in_event_loop
    async def walk() -> None:
        app = TuiVae(run.path.parent, run)
        with LatentProcess(run, "serve") as process:
            async with app.run_test(size=(100, 30)) as pilot:
                pane = await latent(app, pilot)
                with held(process, protocol.Decode, protocol.Sample) as free:
                    await pilot.press(*["v"] * turns)
                    await seen(app, pilot, words)
                    free.set()
                    board = pane.query_one(f"#latent-{pane.view.value}", ImageBoard)
                    await until(pilot, lambda: bool(board.pictures) and words not in screen(app))

    walk()


@in_event_loop
async def test_the_cursors_image_and_the_distributions_say_so_too(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve") as process, held(process, protocol.Decode, protocol.SplitKl) as free:
        async with app.run_test(size=(100, 30)) as pilot:
            await pilot.press("3")
            await seen(app, pilot, "decoding")
            await pilot.press("V", "y")
            await seen(app, pilot, "the distributions of z are being computed")
            free.set()
            found = app.screen.query_one(Distributions)
            await until(pilot, lambda: bool(found.found) and "being computed" not in screen(app))


@in_event_loop
async def test_a_key_whose_answer_takes_long_says_what_is_to_come(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve") as process:
        async with app.run_test(size=(120, 30)) as pilot:
            pane = await latent(app, pilot)
            await pilot.press(*"vvvv")
            await until(pilot, lambda: bool(pane.board.pictures))
            with held(process, protocol.Sample) as free:
                await pilot.press("S")  # the old page stays, from another distribution than the line above it says
                await seen(app, pilot, "the samples are being drawn")
                free.set()
                await until(pilot, lambda: "being drawn" not in screen(app))


@in_event_loop
async def test_after_a_failure_enter_asks_again(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve") as process:
        async with app.run_test(size=(120, 30)) as pilot:
            pane = await latent(app, pilot)
            answer, refused = process._answer, threading.Event()

            def refuse(request: protocol.AnyRequest) -> protocol.AnyReply:
                if isinstance(request, protocol.Sample) and not refused.is_set():
                    refused.set()
                    return protocol.Failure(message="no memory is left")
                return answer(request)

            monkeypatch.setattr(process, "_answer", refuse)
            await pilot.press(*"vvvv")
            await until(pilot, lambda: "enter tries again" in "".join(screen(app).split("\n")[4:-1]))
            await pilot.press("enter")
            await until(pilot, lambda: bool(pane.board.pictures))
            assert app.screen.query_one(LatentPane).note == ""


@in_event_loop
async def test_browse_says_it_in_the_middle_where_nothing_was_saved(tmp_path: Path) -> None:
    run = make_run(tmp_path, epochs=0, state="training")
    app = TuiVae(tmp_path, run)
    with LatentProcess(run, "train") as process, held(process, protocol.Describe) as free:
        async with app.run_test(size=(100, 30)) as pilot:
            await opened(app, pilot)
            await pilot.press("2")
            await until(pilot, lambda: "the model is being loaded" in "".join(screen(app).split("\n")[4:-1]))
            free.set()
            await seen(app, pilot, "mse 0.")
