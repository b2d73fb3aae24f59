"""Nothing that a foreign run says steers the terminal of whoever looks at it."""

import io
import unicodedata
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.support.fake_run import figures_after, make_run
from tests.support.piloting import in_event_loop, opened, screen, until
from tui_vae.cli import main, train_reporters
from tui_vae.config import read_config
from tui_vae.errors import UsageError
from tui_vae.plain_text import plain, plain_lines
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.runs.holder import Holder
from tui_vae.runs.run_records import Ledger
from tui_vae.ui.app import TuiVae
from tui_vae.ui.runs.columns import COLUMNS, matches
from tui_vae.ui.start_screen import run_row
from tui_vae.ui.train.log_pane import log_lines

SIGNS = st.sampled_from(["\x1b", "[31m", "]0;title\x07", "P", "\x9b", "\x9d", "\x07", "\r", "\n", "\t", "\x00", "\x7f",
                         "\u202e", "\u2066", "\u200f", "\u2028", "\ufeff", "\u061c", "[2J", "\\"])  # fmt: skip
TEXTS = st.lists(st.one_of(SIGNS, st.text(st.characters(exclude_categories=["Cs"]), max_size=4)), max_size=8).map(
    "".join
)

TURNS = {"\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
"""What changes the direction of writing (Unicode Bidirectional Algorithm, 2.1 to 2.6)."""


def steering(text: str, but: str = "") -> set[str]:
    """The characters of a text that a terminal obeys instead of showing them."""
    controls = {sign for sign in text if unicodedata.category(sign) in ("Cc", "Zl", "Zp")}
    return (controls | (set(text) & TURNS)) - set(but)


def texts_in(value: Any) -> list[str]:
    built = msgspec.to_builtins(value)
    if isinstance(built, str):
        return [built]
    if isinstance(built, dict):
        return [text for pair in built.items() for each in pair for text in texts_in(each)]
    return [text for each in built for text in texts_in(each)] if isinstance(built, (list, tuple)) else []


def every_event(said: str) -> list[ev.AnyEvent]:
    """An event of each kind with this text wherever the log has one."""
    facts = ev.DatasetFacts(said, said, 60_000, 10_000, (said, said))
    figures = figures_after(1)
    return [
        ev.RunEvent(name=said, config={said: [said, {said: said}]}, device=said, dataset=facts, parameters=1,
                    versions={said: said}, device_name=said, precision=said, epochs=3, steps_per_epoch=2),
        ev.StateEvent(state="training", reason=said),
        ev.StepEvent(epoch=1, step=1, images=2, loss=1.0, recon=1.0, kl=1.0, lr=1.0, beta=1.0, images_per_s=1.0),
        ev.EpochEvent(epoch=1, step=2, seconds=1.0, images_per_s=1.0, train=figures, test=figures),
        ev.PreviewEvent(epoch=1, file=said),
        ev.CheckpointEvent(epoch=1, step=2, file=said, best=True),
        ev.ControlEvent(command=said, value=1.0, epoch=1, step=2),
        ev.WarningEvent(message=said, hint=said),
        ev.ErrorEvent(message=said, hint=said),
        ev.StateEvent(state="failed", reason=said),
    ]  # fmt: skip


def foreign_run(runs_dir: Path, said: str) -> RunDirectory:
    """A run with this text in each of its files."""
    run = RunDirectory(runs_dir / "foreign")
    run.path.mkdir()
    run.config.write_text('name = "foreign"\n')
    run.events.write_bytes(b"".join(map(ev.encode_line, every_event(said))))
    run.log.write_text(said)
    run.note.write_text(said)
    return run


@given(TEXTS)
@example("\x1b]52;c;bWluZQ==\x07a\x1b[2Jb\x9b31mc")
def test_text_is_plain_once_it_has_been_cleaned(text: str) -> None:
    assert not steering(plain(text)) and not steering(plain_lines(text), but="\n")
    assert plain(plain(text)) == plain(text)
    if not steering(text) and text.isprintable():
        assert plain(text) == text


def test_escape_sequences_go_as_a_whole() -> None:
    assert plain("a\x1b]52;c;bWluZQ==\x07b\x1b[1;31mc\x9b2Kd\x1bPq\x1b\\e\x1b(0f\r\n\tg") == "abcdef     g"


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
@example("\x1b]0;mine\x07\x1b[?1049h\x1b[31m\x9b6n\u202egnp.exe\r\x7f")
def test_no_file_of_a_run_steers_the_terminal_of_a_command_or_pane(said: str) -> None:
    with TemporaryDirectory() as folder:
        run = foreign_run(Path(folder), said)
        whole = make_run(Path(folder), "whole", epochs=1)
        found = ev.LogTail(run.events).read_all()
        assert len(found) == 10
        shown = [text for event in found for text in texts_in(event)]
        shown += [text for line in run.events.read_bytes().splitlines() for text in texts_in(ev.parse_line(line))]
        history, ledger = read_history(run.events), Ledger(run, run.events.stat())
        ledger.read(run.events.stat())
        record = ledger.record(0.0)
        assert matches(record, "foreign")
        shown += [column.text(record) for column in COLUMNS]
        assert history.run is not None
        shown.append(train_reporters.introduction(history.run))
        shown += [train_reporters.message_line(each) for each in history.messages if isinstance(each, ev.WarningEvent)]
        for text in shown:
            assert not steering(text), ascii(text)
        for lines in ("\n".join(line.content.plain for line in log_lines(history, run.output(1000))), run.output(1000)):
            assert not steering(lines, but="\n"), ascii(lines)
        for words in (["ls"], ["compare", run.name, whole.name], ["ls", "--json"]):
            printed = io.StringIO()
            with redirect_stdout(printed), redirect_stderr(printed):
                assert main([*words, "--runs-dir", folder]) == 0
            assert not steering(printed.getvalue(), but="\n"), ascii(printed.getvalue())


@pytest.mark.parametrize("option", ["data-dir", "model-dir"])
def test_a_configuration_with_control_characters_is_refused_and_not_repeated(tmp_path: Path, option: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'{option} = "/data/\\u001b[31m\\u202e"\n')
    with pytest.raises(UsageError) as error:
        read_config(file)
    assert not steering(str(error.value))


@given(TEXTS)
def test_replies_and_locks_are_plain(said: str) -> None:
    failure = protocol.decode_reply(msgspec.msgpack.encode(protocol.Failure(message=said, hint=said)))
    facts = protocol.Description(state=said, epoch=1, step=1, classes=(said,), labels=b"", previews=())
    for text in (*texts_in(failure), *texts_in(protocol.decode_reply(msgspec.msgpack.encode(facts)))):
        assert not steering(text)
    with TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder))
        import fcntl

        with run.lock.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.write(msgspec.json.encode(Holder(pid=1, mode="serve", socket=said, host=said)))
            lock.flush()
            holder = run.holder()
        assert holder is not None and not any(steering(text) for text in texts_in(holder))


@in_event_loop
async def test_the_app_shows_a_foreign_run_without_its_control_characters(tmp_path: Path) -> None:
    run = foreign_run(tmp_path, "\x1b]0;mine\x07\x1b[?1049h\x1b[31m\x9b6n\u202egnp.exe\r\x7f")
    app = TuiVae(tmp_path, run)
    async with app.run_test(size=(160, 50)) as pilot:
        await opened(app, pilot)
        for key, there in (("1", "epoch"), ("w", "trainer.log"), ("escape", "epoch"), ("4", "foreign"), ("2", "")):
            await pilot.press(key)
            await until(pilot, lambda there=there: there in screen(app))  # type: ignore[misc]
            assert not steering(screen(app), but="\n"), ascii(screen(app))
    app = TuiVae(tmp_path)
    async with app.run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: "foreign" in screen(app))
        assert not steering(screen(app), but="\n")


def test_an_unreadable_runs_row_on_the_start_screen_says_why(tmp_path: Path) -> None:
    from collections import defaultdict

    from tui_vae.runs.summary import summarize

    run = foreign_run(tmp_path, "")
    run.events.unlink()
    run.events.mkdir()
    printed = io.StringIO()
    console = Console(file=printed, width=100)
    console.print(run_row(summarize(run), 10, defaultdict(lambda: "white")))
    assert "unreadable a directory" in printed.getvalue()  # the detail beside the list says the rest
