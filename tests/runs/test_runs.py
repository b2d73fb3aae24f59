"""The meeting point: the log and what is read from it, run directories and names, the one description of a run."""

import dataclasses
import errno
import io
import json
import math
import os
import shlex
import shutil
import string
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.processes import events
from tui_vae import config
from tui_vae.cli.parser import given_options, make_parser
from tui_vae.config import RunConfig, check_option, make_config, option_name, options, read_config
from tui_vae.errors import UsageError
from tui_vae.runs import client, protocol, summary
from tui_vae.runs import events as ev
from tui_vae.runs.create import config_toml, create_run
from tui_vae.runs.directory import RunDirectory, RunError, RunLock, find_run, list_runs
from tui_vae.runs.history import History, read_history
from tui_vae.runs.summary import summarize
from tui_vae.trainer.server import Inbox, Server

# -- The log -----------------------------------------------------------------------------------------------------------

numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, ev.LARGEST)
times = st.floats(0, 2e9)
metrics = st.builds(ev.Metrics, numbers, numbers, numbers, numbers, numbers, numbers, counts,
                    st.lists(numbers, max_size=3).map(tuple))  # fmt: skip
some_event = st.one_of(
    st.builds(ev.StateEvent, t=times, state=st.sampled_from(["loading", "training", "paused"]), reason=st.text()),
    st.builds(ev.StepEvent, t=times, epoch=counts, step=counts, images=counts, loss=numbers, recon=numbers, kl=numbers,
              lr=numbers, beta=numbers, images_per_s=numbers),
    st.builds(ev.EpochEvent, t=times, epoch=counts, step=counts, seconds=times, images_per_s=numbers, train=metrics,
              test=metrics),
    st.builds(ev.ControlEvent, t=times, command=st.text(), value=numbers, epoch=counts, step=counts),
    st.builds(ev.WarningEvent, t=times, message=st.text(), hint=st.text()),
)  # fmt: skip
noise = st.sampled_from([
    b"", b"\n", b'{"kind":"thought","t":1}\n', b'{"kind":"step","t":17', b"\xff\xfe\n", b'{"kind":"state"}\n', b"[]\n",
    b"null\n", b'{"kind":"state","t":1,"state":"dancing"}\n', b"\0\0\0\0\n", b'{"kind":7}\n',
])  # fmt: skip


@given(told=st.lists(st.tuples(some_event, noise), max_size=8), cuts=st.lists(st.integers(0, 4000), max_size=30))
@settings(max_examples=80, deadline=None)
def test_a_follower_gets_every_event_once_however_the_log_is_torn(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[Any, bytes]], cuts: list[int]
) -> None:
    """Written in arbitrary pieces, with lines of other versions and of crashes in between; nothing raises."""
    data = b"".join(
        ev.encode_line(event) + (junk if junk.endswith(b"\n") or not junk else junk + b"\n") for event, junk in told
    )
    path = tmp_path_factory.getbasetemp() / "pieces.jsonl"
    path.unlink(missing_ok=True)
    tail, seen = ev.LogTail(path), []
    seen += tail.read_all()
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        with path.open("ab") as log:
            log.write(data[start:end])
        seen += tail.read_all()
    assert seen == [event for event, _ in told]
    assert tail.read_all() == []


def test_a_log_is_followed_byte_by_byte_and_in_small_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    tail, count = ev.LogTail(path), []
    line = ev.encode_line(ev.StateEvent(t=1, state="training"))
    for byte in line * 2:
        with path.open("ab") as log:
            log.write(bytes([byte]))
        count.append(len(tail.read()))
    assert [at + 1 for at, new in enumerate(count) if new] == [len(line), 2 * len(line)]
    monkeypatch.setattr(ev.LogTail, "CHUNK", 7)
    again = ev.LogTail(path)
    assert again.read() == []
    assert len(again.read_all()) == 2


def test_a_line_without_an_end_is_kept_once_however_long_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another copy of it with every chunk would take a time that grows with the square of its length."""
    monkeypatch.setattr(ev.LogTail, "CHUNK", 4096)
    path, chunks = tmp_path / "events.jsonl", 300
    reason = "x" * chunks * ev.LogTail.CHUNK
    path.write_bytes(ev.encode_line(ev.StateEvent(t=1, state="paused", reason=reason)))
    tail, needed = ev.LogTail(path), []
    tracemalloc.start()
    try:
        for _ in range(chunks):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            assert tail.read() == []
            needed.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert max(needed) < 32 * ev.LogTail.CHUNK
    assert tail.end_of_line == 0
    assert [event.reason for event in tail.read_all() if isinstance(event, ev.StateEvent)] == [reason]
    assert tail.end_of_line == path.stat().st_size


def test_unknown_fields_are_skipped_and_each_event_has_kind_and_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    before = time.time()
    log = ev.EventLog(path)
    log.write(ev.CheckpointEvent(epoch=1, step=2, file="last.safetensors", best=False))
    told = json.loads(path.read_text())
    assert told.pop("t") >= before
    assert told == {"kind": "checkpoint", "epoch": 1, "step": 2, "file": "last.safetensors", "best": False}
    path.write_text(json.dumps({**told, "t": 3.5, "mood": {"good": [1]}}) + "\n")
    assert ev.LogTail(path).read_all() == [
        ev.CheckpointEvent(t=3.5, epoch=1, step=2, file="last.safetensors", best=False)
    ]


def step_event(step: int, loss: float | None = 1.0, t: float = 0.0) -> ev.StepEvent:
    return ev.StepEvent(t=t, epoch=1 + step // 10, step=step, images=step * 5, loss=loss, recon=1, kl=1, lr=1, beta=1,
                        images_per_s=1)  # fmt: skip


def epoch_event(epoch: int, loss: float | None = 1.0, step: int | None = None) -> ev.EpochEvent:
    figures = ev.Metrics(loss, 2, 3, 0.25, 0.5, 6, 7, (1.0, 2.0))
    return ev.EpochEvent(epoch=epoch, step=step or epoch * 10, seconds=1, images_per_s=1, train=figures, test=figures)


def run_event(step: int | msgspec.UnsetType = 0, epochs: int = 10) -> ev.RunEvent:
    facts = ev.DatasetFacts("fashion-mnist", "here", 50, 10)
    return ev.RunEvent(name="run", config={}, device="cpu", dataset=facts, parameters=1, versions={}, step=step,
                       epochs=epochs, steps_per_epoch=10)  # fmt: skip


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_in_the_log_and_nan_in_the_curves(tmp_path: Path, value: float) -> None:
    path = tmp_path / "events.jsonl"
    log = ev.EventLog(path)
    log.write(step_event(5, loss=value))
    log.write(epoch_event(1, loss=value))
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first["loss"] is second["test"]["loss"] is None
    history = read_history(path)
    assert math.isnan(history.steps["loss"][0])
    assert history.epochs[0].test.loss is None
    assert history.best is None


def test_after_a_crash_and_a_resume_each_step_has_its_last_value() -> None:
    history = History()
    history.extend([run_event(), *(step_event(step, 1.0) for step in range(5, 31, 5)), epoch_event(1), epoch_event(2)])
    history.extend([ev.CheckpointEvent(epoch=3, step=25, file="last.safetensors", best=False), epoch_event(3)])
    revision = history.revision
    history.extend([run_event(step=12), step_event(15, 2.0), step_event(22, 2.0), epoch_event(2, 2.0)])
    assert list(history.steps["step"]) == [5, 10, 15, 22]
    assert list(history.steps["loss"]) == [1, 1, 2, 2]
    assert [(event.epoch, event.test.loss) for event in history.epochs] == [(1, 1), (2, 2)]
    assert history.checkpoint is None
    assert (history.step, history.total_steps) == (22, 100)
    assert history.revision > revision


@given(steps=st.lists(st.integers(1, 40), max_size=60))
@settings(deadline=None)
def test_curves_are_in_order_whatever_order_the_log_tells_them_in(steps: list[int]) -> None:
    history = History()
    last = {}
    for time_, step in enumerate(steps):
        history.apply(step_event(step, float(time_)))
        last = {known: value for known, value in last.items() if known < step} | {step: float(time_)}
    assert list(history.steps["step"]) == sorted(last)
    assert dict(zip(history.steps["step"], history.steps["loss"], strict=True)) == last
    assert len({len(history.steps[name]) for name in ("t", "epoch", "lr")}) == 1


told_events = st.one_of(
    st.builds(step_event, st.integers(1, 60), st.sampled_from([None, 1.0, 2.0])),
    st.builds(epoch_event, st.integers(1, 6), st.sampled_from([None, 1.0, 2.0, 3.0])),
    st.builds(run_event, st.integers(0, 60) | st.just(msgspec.UNSET)),
)


@given(told=st.lists(told_events, max_size=40))
@settings(deadline=None)
def test_many_events_at_once_add_up_to_what_they_do_one_by_one(told: list[ev.AnyEvent]) -> None:
    at_once, one_by_one = History(), History()
    at_once.extend(told)
    for event in told:
        one_by_one.apply(event)
    assert at_once.epochs == one_by_one.epochs and at_once.breaks == one_by_one.breaks
    assert list(at_once.steps["step"]) == list(one_by_one.steps["step"])
    assert at_once.revision == one_by_one.revision
    losses = [event.test.loss for event in at_once.epochs if event.test.loss is not None]
    best = next((event for event in at_once.epochs if event.test.loss == min(losses, default=None) is not None), None)
    assert at_once.best is best and one_by_one.best == best


# -- The summary -------------------------------------------------------------------------------------------------------


def logged(runs: Path, *told: ev.AnyEvent) -> RunDirectory:
    directory, _ = create_run(runs, make_config({}))
    directory.events.write_bytes(b"".join(map(ev.encode_line, told)))
    return directory


def test_a_summary_tells_the_newest_figures(own_runs: Path) -> None:
    state = ev.StateEvent(state="finished")
    run = summarize(logged(own_runs, run_event(epochs=3), epoch_event(1, 5.0), epoch_event(2, 4.0), state))
    assert (run.name, run.state, run.epochs, run.planned) == ("fashion-1", "finished", 2, 3)
    assert (run.test_loss, run.mse, run.kl, run.active_units, run.device) == (4.0, 0.25, 3, 7, "cpu")
    assert 0 <= run.age < 60
    assert summarize(logged(own_runs)).state == "crashed"
    assert summarize(logged(own_runs, run_event(), ev.StateEvent(state="training"))).state == "crashed"


def damaged(event: ev.AnyEvent, **fields: object) -> bytes:
    """The line of an event in which some numbers are others."""
    return json.dumps({**json.loads(ev.encode_line(event)), **fields}).encode() + b"\n"


DAMAGED = {
    "brackets": b'{"kind":"state","x":' + b"[" * 100_000 + b"\n",
    "step of 401 digits": damaged(step_event(35), step=10**400),
    "step of 20 digits": damaged(step_event(35), step=10**19),
    "step below 0": damaged(step_event(35), step=-35),
    "epoch below 0": damaged(epoch_event(3), epoch=-3),
    "epochs of 301 digits": damaged(run_event(), epochs=10**300),
    "active units below 0": damaged(epoch_event(3), test={**msgspec.to_builtins(epoch_event(3).test),
                                                          "active_units": -1}),
    "no moment": damaged(ev.StateEvent(state="stopped"), t=1e300),
}  # fmt: skip


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_a_line_that_no_trainer_has_written_is_as_if_it_were_not_there(own_runs: Path, line: bytes) -> None:
    told = [run_event(), ev.StateEvent(state="training"), *many_steps(1, 30), epoch_event(1), epoch_event(2, 3.0),
            ev.StateEvent(state="finished")]  # fmt: skip
    whole, odd = logged(own_runs, *told), logged(own_runs)
    odd.events.write_bytes(b"".join(ev.encode_line(event) + line for event in told))
    os.utime(odd.events, ns=(0, whole.events.stat().st_mtime_ns))
    assert [event for event in events(odd) if event not in told] == []
    one, other = read_history(whole.events), read_history(odd.events)
    assert other.epochs == one.epochs and other.steps.columns == one.steps.columns
    assert (other.run, other.state, other.best) == (one.run, one.state, one.best)
    first, second = (dataclasses.replace(summarize(run), name="", age=0) for run in (whole, odd))
    assert first == second


def many_steps(first: int, count: int) -> list[ev.StepEvent]:
    return [step_event(step) for step in range(first, first + count)]


def test_the_summary_of_a_long_epoch_still_knows_the_last_one(own_runs: Path) -> None:
    """On a slow machine minutes of step events come after the newest epoch event; ten a second, 2 kB."""
    directory = logged(own_runs, run_event(), ev.StateEvent(state="training"), *many_steps(1, 3000),
                       epoch_event(1, 5.0, 3000), *many_steps(3001, 2999), epoch_event(2, 4.0, 6000),
                       *many_steps(6001, 2500))  # fmt: skip
    run = summarize(directory)
    assert (run.epochs, run.test_loss) == (2, 4.0)


def test_the_summary_of_a_run_that_was_paused_long_ago_says_that_it_trains(own_runs: Path) -> None:
    directory = logged(own_runs, run_event(), ev.StateEvent(state="training"), ev.StateEvent(state="paused"),
                       *many_steps(1, 700), ev.StateEvent(state="training"), *many_steps(701, 3000),
                       epoch_event(1))  # fmt: skip
    lock = RunLock(directory, "train")
    assert summarize(directory).state == "training"
    lock.release()
    assert summarize(directory).state == "crashed"


def test_the_summary_of_a_huge_log_reads_only_its_ends(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted(io.BufferedReader):
        def read(self, size: int | None = -1) -> bytes:
            read.append(size if size is not None and size >= 0 else sys.maxsize)
            return super().read(size)

    read: list[int] = []
    directory = logged(own_runs, run_event(epochs=42))
    with directory.events.open("r+b") as log:
        log.seek(8 << 30)  # a sparse file
        log.write(b"\n" + ev.encode_line(epoch_event(41)) + ev.encode_line(ev.StateEvent(state="stopped")))
    monkeypatch.setattr(Path, "open", lambda path, mode: Counted(io.FileIO(path, mode)))
    run = summarize(directory)
    assert 0 < sum(read) < 8 << 20
    assert (run.state, run.epochs, run.planned) == ("stopped", 41, 42)


# -- Run directories ---------------------------------------------------------------------------------------------------


def test_a_new_run_has_its_whole_configuration_and_the_next_free_name(own_runs: Path) -> None:
    first, named = create_run(own_runs, make_config({"epochs": 3}))
    second, _ = create_run(own_runs, make_config({}))
    third, _ = create_run(own_runs, make_config({"name": "mine"}))
    assert [directory.name for directory in (first, second, third)] == ["fashion-1", "fashion-2", "mine"]
    written = read_config(first.config)
    assert set(written) == set(options())
    assert make_config(written) == named == dataclasses.replace(make_config({"epochs": 3}), name="fashion-1")
    assert {path.name for path in own_runs.iterdir()} == {"fashion-1", "fashion-2", "mine"}
    assert {run.name for run in list_runs(own_runs)} == {"fashion-1", "fashion-2", "mine"}
    with pytest.raises(RunError, match="already exists"):
        create_run(own_runs, make_config({"name": "mine"}))


def test_a_new_run_is_on_the_disk_before_it_has_its_name(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut a run that has its name has its config.toml too."""
    fsync, rename, synced, missing = os.fsync, os.rename, set(), []

    def note(file: int) -> None:
        synced.add(os.fstat(file).st_ino)
        fsync(file)

    def look(source: Path, target: Path) -> None:
        missing.extend(path for path in (source, Path(source) / "config.toml") if path.stat().st_ino not in synced)
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "rename", look)
    directory, _ = create_run(own_runs, make_config({}))
    assert missing == [] and own_runs.stat().st_ino in synced
    assert sorted(os.listdir(directory.path)) == ["config.toml", "previews"]


def test_a_name_that_is_cleared_away_at_the_last_moment_is_free(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process does so between the attempt to put a run there and the look at what was in its way."""
    rename, refused = os.rename, []

    def once_in_the_way(source: Path, target: Path) -> None:
        if not refused:
            refused.append(target)
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        rename(source, target)

    monkeypatch.setattr(os, "rename", once_in_the_way)
    directory, _ = create_run(own_runs, make_config({"name": "again"}))
    assert refused == [directory.path] and directory.config.is_file() and os.listdir(own_runs) == ["again"]


def test_of_processes_that_want_one_name_at_once_one_gets_it(own_runs: Path) -> None:
    """Again and again, since it is a race; none may sweep away what another has just made."""
    own_runs.mkdir()
    code = """
import os, sys, time
from pathlib import Path
from tui_vae.config import make_config
from tui_vae.errors import UserError
from tui_vae.runs.create import create_run
runs, mine = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
for number in range(40):
    sys.stdin.readline()
    try:
        directory, _ = create_run(runs, make_config({"name": f"run-{number}", "seed": int(mine)}))
        print("won", flush=True)
    except UserError as error:
        print(error.message, flush=True)
"""
    rivals = [
        subprocess.Popen([sys.executable, "-c", code, str(own_runs), str(number)], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for number in (1, 2)
    ]  # fmt: skip
    pipes = [(rival.stdin, rival.stdout) for rival in rivals]
    assert all(out and out.readline() for _, out in pipes)
    for number in range(40):
        if number % 2:  # as a run that failed before its first step has left it: it is not in the way
            failed, _ = create_run(own_runs, make_config({"name": f"run-{number}"}))
            failed.events.write_bytes(ev.encode_line(ev.StateEvent(state="failed")))
        for pipe, _ in pipes:
            assert pipe
            pipe.write("go\n")
            pipe.flush()
        said = [out.readline().strip() for _, out in pipes if out]
        assert said.count("won") == 1, (number, said)
        assert f"run 'run-{number}' already exists" in " ".join(said), (number, said)
        assert read_config(own_runs / f"run-{number}" / "config.toml")["seed"] == said.index("won") + 1
    for rival in rivals:
        rival.communicate()
    assert all(path.name.startswith("run-") for path in own_runs.iterdir())


def test_a_run_that_failed_before_its_first_step_is_not_in_the_way_and_any_other_is(own_runs: Path) -> None:
    mine = make_config({"name": "mine"})
    directory, _ = create_run(own_runs, mine)
    with pytest.raises(RunError, match="already exists"):
        create_run(own_runs, mine)  # it has only just been made: its trainer is about to start
    directory.events.write_bytes(ev.encode_line(ev.StateEvent(state="failed")))
    create_run(own_runs, mine)
    assert events(directory) == []
    directory.events.write_bytes(ev.encode_line(step_event(3)) + ev.encode_line(ev.StateEvent(state="failed")))
    with pytest.raises(RunError, match="already exists"):
        create_run(own_runs, mine)


def test_a_lock_lives_as_long_as_its_process(own_runs: Path) -> None:
    directory, _ = create_run(own_runs, make_config({}))
    assert directory.holder() is None
    code = """
import sys, time
from pathlib import Path
from tui_vae.runs.directory import RunDirectory, RunLock
lock = RunLock(RunDirectory(Path(sys.argv[1])), "train")
print("held", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(directory.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    holder = directory.holder()
    assert holder
    assert (holder.pid, holder.mode, directory.is_training()) == (process.pid, "train", True)
    with pytest.raises(RunError, match="already has a living process"):
        RunLock(directory, "serve")
    process.kill()
    process.communicate()
    assert directory.holder() is None
    RunLock(directory, "serve").release()


def test_runs_are_found_newest_first_and_what_is_no_run_is_not(own_runs: Path) -> None:
    with pytest.raises(RunError, match="there are no runs"):
        find_run(own_runs)
    for age, name in enumerate(("new", "middle", "old")):
        directory, _ = create_run(own_runs, make_config({"name": name}))
        directory.events.touch()
        os.utime(directory.events, (1e9 - age, 1e9 - age))
    (own_runs / ".new-abc").mkdir()
    (own_runs / "no-run").mkdir()
    (own_runs / "file").touch()
    assert [run.name for run in list_runs(own_runs)] == ["new", "middle", "old"]
    assert find_run(own_runs).name == "new"
    assert find_run(own_runs, "old").name == "old"
    with pytest.raises(RunError, match="no run 'no-run'") as error:
        find_run(own_runs, "no-run")
    assert error.value.hint == "runs are: new, middle, old"


def test_a_run_that_vanishes_while_runs_are_listed_is_not_there(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, *others = (logged(own_runs, run_event(), epoch_event(1)) for _ in range(3))
    is_file = Path.is_file

    def deleted_a_moment_later(path: Path) -> bool:
        there = is_file(path)
        if path == others[0].config:
            shutil.rmtree(path.parent)
        return there

    monkeypatch.setattr(Path, "is_file", deleted_a_moment_later)
    found = list_runs(own_runs)
    assert {run.name for run in found} == {stays.name, others[1].name}
    shutil.rmtree(others[1].path)
    assert [run.name for run in summary.summarize_all(found)] == [stays.name]
    with pytest.raises(RunError, match="has been deleted"):
        summarize(others[1])


# -- The one description of a run --------------------------------------------------------------------------------------

PARSER = make_parser()
NAME = set(string.ascii_letters + string.digits + "._-")


@given(name=st.text(max_size=70) | st.text(alphabet="ab.-_/ \n", max_size=66))
def test_names_are_those_that_the_design_allows(name: str) -> None:
    allowed = 1 <= len(name) <= 64 and set(name) <= NAME and not name.startswith(".") and name != "auto"
    try:
        assert (check_option("name", name) == name) == allowed or name in ("auto", "")
    except UsageError:
        assert not allowed


def values(name: str) -> st.SearchStrategy[Any]:
    """What people may write for an option, in a shell or a file; much of it wrong."""
    option = options()[name]
    near = [edge + shift for edge in (option.minimum, option.maximum) if edge is not None for shift in (-1, 0, 1)]
    return st.one_of(
        st.sampled_from([*option.choices, "auto", "all", "", "cuda:1", "cpu", "1e-3", "0.1", "512,256", "nan", "-1"]),
        st.integers(-5, 3000), st.integers(2**53, 2**63), st.integers(2**53, 2**63).map(str), st.booleans(),
        st.sampled_from([*near, 0]), st.sampled_from([*map(str, near), "0"]), st.floats(), st.floats().map(str),
        st.floats(0, 1e6), st.floats(0, 10).map(str), st.lists(st.integers(0, 600), max_size=4),
        st.lists(st.integers(1, 600), min_size=1, max_size=4).map(lambda widths: ",".join(map(str, widths))),
        st.text(max_size=20), st.sampled_from(["~/data", "~nobody-of-this-name/x", "a b/ö", "/tmp/\udcff", "x\ny"]),
    )  # fmt: skip


@given(data=st.data(), name=st.sampled_from(sorted(options())))
@settings(max_examples=700, deadline=None)
def test_what_an_option_accepts_survives_file_shell_and_log(data: st.DataObject, name: str) -> None:
    given_value = data.draw(values(name))
    try:
        value = check_option(name, given_value)
    except UsageError as error:
        assert option_name(name) in error.message
        assert "\n" not in str(error).replace(repr(given_value), "")
        return
    beside = {"objective": "bce"} if value == "logits" else {}  # which goes with no other
    wanted = make_config({name: value, **beside})
    assert getattr(wanted, name) == value
    assert check_option(name, value) == value

    path = Path(os.environ["TUI_VAE_CACHE"]).with_name("round-trip.toml")
    path.write_bytes(config_toml(wanted))
    assert make_config(read_config(path)) == wanted
    assert make_config(json.loads(json.dumps(wanted.to_dict()))) == wanted
    if name != "preset":
        assert check_option(name, config.text_of(name, value)) == value
    words = shlex.split(config.command_line(wanted))
    assert words[:2] == ["tui-vae", "train"]
    assert make_config(given_options(PARSER.parse_args(words[1:]))) == wanted


@pytest.mark.parametrize("preset", ["default", "seed"])
def test_a_preset_fills_in_what_is_not_given_and_nothing_else(preset: str) -> None:
    wanted = make_config({"preset": preset, "lr": 0.5, "latent-dim": "7"})
    assert (wanted.lr, wanted.latent_dim, wanted.preset) == (0.5, 7, preset)
    assert (wanted.hidden, wanted.objective) == {"default": ((512, 256), "sigma"), "seed": ((256,), "mse")}[preset]
    assert (wanted.output, wanted.beta, wanted.batch_size) == {
        "default": ("auto", 1.0, 256), "seed": ("sigmoid", 0.5, 128)}[preset]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("latent-dim = " + "9" * 5000, "a number of more than 4,300 digits"),
        ("latent-dim = 0x" + "f" * 5000, "latent-dim must be a whole number of at least 1 and at most 4096, not a num"),
        ("hidden = [0x" + "f" * 5000 + "]", "hidden must be a whole number of at least 1"),
        ("latent-dim = " + "9" * 4000, "not '9999"),
        ("hidden = " + "[" * 5000, "too many brackets"),
        ("latent-dim = 3\nlatent_dim = 4", "gives latent-dim twice, once as latent_dim"),
        ("runs-dir = 'a'\nruns_dir = 'b'", "gives runs-dir twice"),
    ],
    ids=["decimal", "hexadecimal", "in a list", "long", "brackets", "twice", "twice no option"],
)  # fmt: skip
def test_what_no_file_may_say_is_one_short_sentence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text + "\n")
    with pytest.raises(UsageError) as error:
        read_config(path)
    assert str(path) in error.value.message and says in error.value.message
    assert len(str(error.value)) < len(str(path)) + 200


def test_the_designs_options_all_exist() -> None:
    wanted = (
        "name preset dataset data-dir model hidden latent-dim objective epochs batch-size lr schedule beta kl-warmup"
        " free-bits seed device threads precision train-limit test-limit checkpoint-every"
    )
    assert {name.replace("-", "_") for name in wanted.split()} <= set(options())
    assert RunConfig() == make_config({})


def test_summaries_have_what_ls_promises() -> None:
    fields = {field.name for field in dataclasses.fields(summary.RunSummary)}
    assert {"name", "state", "epochs", "test_loss", "mse", "kl", "active_units", "device", "age"} <= fields


# -- Asking ------------------------------------------------------------------------------------------------------------


def answer_one(inbox: Inbox, reply: protocol.AnyReply) -> None:
    ticket = inbox.wait(10)
    if ticket is not None:
        ticket.answer(reply)


def test_questions_share_a_connection_until_their_process_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Against the trainer's own server: one connection for many questions, and a new one for the next process."""
    connect, connected = client._connect, []
    monkeypatch.setattr(client, "_connect", lambda *given: connected.append(given) or connect(*given))
    directory, _ = create_run(tmp_path, make_config({}))
    caller = client.Caller(directory)
    for process in (1, 2):
        lock, inbox = RunLock(directory, "serve"), Inbox()
        server = Server(directory, lock, inbox)
        server.start()
        for step in range(3):
            answer = threading.Thread(target=answer_one, args=(inbox, protocol.Images(epoch=0, step=step, images=b"")))
            answer.start()
            assert caller.ask(protocol.Decode(z=b"1234"), protocol.Images).step == step
            answer.join()
        assert len(connected) == process
        server.close()
        lock.release()
    assert not caplog.records  # a process that ends under an open connection has nothing to complain of
    with pytest.raises(client.NoProcess):
        caller.ask(protocol.Describe(), protocol.Description)
