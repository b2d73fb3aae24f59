"""Runs from strangers: what is no plain file is never waited for or followed, and the other runs are as ever."""

import json
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fake_run import make_run
from tests.support.processes import command, events, finish
from tests.support.training import new_run, train_here
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory, RunError, find_run
from tui_vae.runs.launch import StartError, start_serving
from tui_vae.runs.lock import RunLock
from tui_vae.runs.manage import read_note, write_note
from tui_vae.runs.previews import Originals, preview_files, read_originals, read_previews, write_originals
from tui_vae.runs.safe_files import UnsafeFile, open_own, open_to_read, read_tail, read_whole
from tui_vae.runs.summary import summarize

Odd = Callable[[Path], object]


def as_fifo(path: Path) -> None:
    os.mkfifo(path)


def as_link(path: Path) -> None:
    elsewhere = path.parent.parent / f"elsewhere-{path.name}"
    elsewhere.write_bytes(b"")
    path.symlink_to(elsewhere)


def as_socket(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(before)


ODD: dict[str, Odd] = {"a FIFO": as_fifo, "a directory": Path.mkdir, "a link": as_link, "a socket": as_socket}


def put(odd: Odd, path: Path) -> None:
    path.unlink(missing_ok=True)
    odd(path)


@pytest.mark.parametrize("what", ODD)
def test_only_plain_files_are_opened(tmp_path: Path, what: str) -> None:
    path = tmp_path / "file"
    put(ODD[what], path)
    for opens in (open_to_read, lambda path: read_whole(path, 10), lambda path: open_own(path, os.O_WRONLY),
                  lambda path: open_own(path, os.O_RDWR), ev.EventLog):  # fmt: skip
        with pytest.raises(UnsafeFile, match=what):
            opens(path)
    assert read_tail(path, 10) == b""


def test_a_file_to_write_to_is_this_users_and_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    os.link(tmp_path / "mine", tmp_path / "run")
    with pytest.raises(UnsafeFile, match="hard link"):
        open_own(tmp_path / "run", os.O_WRONLY)
    if os.geteuid() == 0:
        (tmp_path / "other").touch()
        os.chown(tmp_path / "other", 12345, -1)
        with pytest.raises(UnsafeFile, match=r"another user \(12345\)"):
            open_own(tmp_path / "other", os.O_WRONLY)
    os.close(open_own(tmp_path / "new", os.O_WRONLY))
    assert (tmp_path / "new").stat().st_mode & 0o022 == 0


@pytest.mark.parametrize("file", ["config.toml", "events.jsonl"])
@pytest.mark.parametrize("what", ODD)
def test_what_is_no_plain_file_makes_a_run_unreadable(own_runs: Path, what: str, file: str) -> None:
    odd = make_run(own_runs, "odd", epochs=1)
    put(ODD[what], odd.path / file)
    why = f"{file}: it is {what}, not a plain file"
    summary = summarize(odd)
    assert (summary.state, summary.readable, summary.reason) == ("unreadable", False, why)
    with pytest.raises(RunError, match=why):
        find_run(own_runs, "odd")


@pytest.mark.parametrize("file", ["config.toml", "events.jsonl"])
def test_one_odd_run_does_not_keep_a_command_from_the_others(own_runs: Path, file: str) -> None:
    make_run(own_runs, "whole", epochs=1)
    odd = make_run(own_runs, "odd", epochs=1)
    put(as_fifo, odd.path / file)
    why = f"{file}: it is a FIFO, not a plain file"
    code, out, err = finish(command("ls", "--json"), timeout=30)
    found = {run["name"]: run for run in json.loads(out)}
    assert (code, err) == (0, "")
    assert found["whole"]["readable"] and found["whole"]["state"] == "finished" and not found["whole"]["reason"]
    assert not found["odd"]["readable"] and found["odd"]["state"] == "unreadable" and found["odd"]["reason"] == why
    code, out, err = finish(command("ls"), timeout=30)
    assert (code, err) == (0, "") and f"odd cannot be read: {why}" in out
    for words in (("attach", "odd"), ("show", "odd"), ("resume", "odd"), ("compare", "odd", "whole")):
        code, _, err = finish(command(*words), timeout=30)
        assert code == 1 and err.count("\n") == 1 and why in err, words
    assert find_run(own_runs).name == "whole"  # the newest that can be read


def test_odd_files_beside_the_log_stop_nobody(own_runs: Path) -> None:
    run = make_run(own_runs, "odd", epochs=1)
    for name in ("lock", "trainer.log", "note.txt", "last.safetensors"):
        put(as_fifo, run.path / name)
    assert run.holder() is None and read_note(run) == ""
    assert summarize(run).state == "finished"
    for act in (lambda: RunLock(run, "train"), lambda: start_serving(run)):
        with pytest.raises((UnsafeFile, StartError), match="it is a FIFO"):
            act()
    code, _, err = finish(command("eval", "odd", "--json"), timeout=60)
    assert code == 1 and err.count("\n") == 1 and "it is a FIFO, not a plain file" in err
    write_note(run, "replaces what is there")
    assert read_note(run) == "replaces what is there"


def test_a_log_that_leads_elsewhere_is_not_written(own_runs: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    for name in ("lock", "events.jsonl", "trainer.log"):
        run = make_run(own_runs, name, epochs=1)
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).symlink_to(victim)
        code, _, err = finish(command("resume", name, "--epochs", "1"), timeout=60)
        assert code == 1 and err.count("\n") == 1, err
        assert "it is a link, not a plain file" in err
        assert victim.read_text() == "mine\n"


def test_previews_stay_in_their_folder(own_runs: Path, tmp_path: Path) -> None:
    run, elsewhere = make_run(own_runs, "odd", epochs=2), tmp_path / "elsewhere"
    assert len(read_previews(run.previews, 28)) == 2
    run.previews.rename(elsewhere)
    run.previews.symlink_to(elsewhere)
    kept = sorted(os.listdir(elsewhere))
    assert read_originals(run.previews) == Originals() and preview_files(run.previews) == []
    with pytest.raises(UnsafeFile, match="a link, not a directory"):
        write_originals(run.previews, Originals((bytes(4),), (0,), (0,), 2))
    assert sorted(os.listdir(elsewhere)) == kept


def test_a_preview_with_too_many_pixels_is_passed_over(own_runs: Path) -> None:
    run = make_run(own_runs, "odd", epochs=2)
    side = 12_500
    rows = zlib.compress(bytes((side + 1) * side))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    large = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    (run.previews / "epoch-000002.png").write_bytes(large)
    assert [epoch for epoch, _ in read_previews(run.previews, 28)] == [1]


def test_a_run_whose_directory_may_not_be_entered_is_listed(own_runs: Path) -> None:
    make_run(own_runs, "whole", epochs=1)
    closed = make_run(own_runs, "closed", epochs=1)

    def refuse(self: RunDirectory) -> str:
        return "config.toml: Permission denied" if self.name == "closed" else ""

    with pytest.MonkeyPatch.context() as patch:  # root may enter every directory
        patch.setattr(RunDirectory, "why_unreadable", refuse)
        assert summarize(closed).reason == "config.toml: Permission denied"
        with pytest.raises(RunError, match="Permission denied"):
            find_run(own_runs, "closed")
        assert find_run(own_runs).name == "whole"


@pytest.mark.parametrize("what", ["a FIFO", "a link", "a socket"])
def test_what_stands_in_a_folders_place_is_told_and_stops_no_training(own_runs: Path, what: str) -> None:
    run = new_run(own_runs, **{"epochs": 2, "keep": "every:1"})
    run.previews.rmdir()
    for folder in (run.previews, run.kept):
        ODD[what](folder)
    assert train_here(run) == 0
    assert summarize(run).state == "finished"
    told = [event.message for event in events(run, ev.WarningEvent) if event.message.startswith("cannot write")]
    assert told == [
        f"cannot write {file}: it is {what}, not a directory"
        for file in ("the preview images", "a preview", "the kept checkpoint of epoch 1")
    ]
