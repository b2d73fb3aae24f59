"""`tui-vae verify`: every file of a run is checked, nothing is written, and a living run gives no false alarm."""

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.commands import Run
from tests.support.processes import events
from tests.support.training import Killed, Script, new_run, train_here
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.go_back import go_back
from tui_vae.runs.kept import best_file, kept_epochs, state_file
from tui_vae.runs.previews import preview_files, write_preview
from tui_vae.runs.verify import Check, verify_run
from tui_vae.trainer.checkpoints import load_checkpoint, save_checkpoint

KEEPING = {"keep": 2, "checkpoint-every": 0, "epochs": 3}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    directory = new_run(tmp_path_factory.mktemp("whole"), name="run", **KEEPING)
    assert train_here(directory) == 0
    return directory


@pytest.fixture
def run(whole: RunDirectory, own_runs: Path) -> RunDirectory:
    """A copy of it, in which nothing is one file with the original."""
    shutil.copytree(whole.path, own_runs / "run")
    return RunDirectory(own_runs / "run")


def contents(directory: RunDirectory) -> dict[str, tuple[int, int]]:
    facts = {str(path): path.lstat() for path in [directory.path, *directory.path.rglob("*")]}
    return {path: (each.st_size, each.st_mtime_ns) for path, each in facts.items()}


def wrong(directory: RunDirectory) -> list[Check]:
    return [check for check in verify_run(directory) if not check.ok]


def test_what_trackers_and_tags_leave_is_the_runs_own(run: RunDirectory) -> None:
    (run.path / "tensorboard" / "from-step-0").mkdir(parents=True)
    (run.path / "wandb").mkdir()
    run.tags.write_text('tags = ["good"]\ngroup = ""\n')
    assert not wrong(run) and not [check for check in verify_run(run) if "files" in check.file]


def test_a_whole_run_has_a_line_for_each_file_and_stays_untouched(run: RunDirectory, tui_vae: Run) -> None:
    before = contents(run)
    code, out, err = tui_vae("verify", "run")
    assert (code, err) == (0, "")
    title, *lines = out.splitlines()
    assert title == "run: all is well"
    kept = [f"kept/{name(run.kept, each).name}" for each in kept_epochs(run.kept) for name in (state_file, best_file)]
    names = [line.split()[1] for line in lines]
    assert names == ["config.toml", "events.jsonl", "last.safetensors", "best.safetensors", *kept, "previews/",
                     "permissions"]  # fmt: skip
    assert all(line.startswith("✓") for line in lines)
    assert contents(run) == before


def test_all_runs_as_json(run: RunDirectory, tui_vae: Run) -> None:
    shutil.copytree(run.path, run.path.with_name("other"))
    flip(run.best)
    code, out, _ = tui_vae("verify", "--json")
    found = {each["run"]: each for each in json.loads(out)}
    assert code == 1 and set(found) == {"run", "other"}
    assert (found["run"]["ok"], found["other"]["ok"]) == (False, True)
    (bad,) = [check for check in found["run"]["checks"] if not check["ok"]]
    assert bad["file"] == "best.safetensors" and "checksum" in bad["found"]
    code, out, _ = tui_vae("verify")
    assert code == 1 and out.endswith("2 runs, 1 with something wrong\n")
    assert tui_vae("verify", "nobody")[0] == 1


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 4
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def lines_of(run: RunDirectory) -> list[bytes]:
    return run.events.read_bytes().splitlines(keepends=True)


def a_line_of_garbage(run: RunDirectory) -> None:
    lines = lines_of(run)
    lines[len(lines) // 2] = b"#" * (len(lines[len(lines) // 2]) - 1) + b"\n"
    run.events.write_bytes(b"".join(lines))


def a_number_that_is_none(run: RunDirectory) -> None:
    data = run.events.read_bytes()
    run.events.write_bytes(data.replace(b'"images_per_s":', b'"images_per_s":"', 1).replace(b'"t"', b'"t"', 1))


def an_epoch_less(run: RunDirectory) -> None:
    lines = [line for line in lines_of(run) if not line.startswith(b'{"kind":"epoch"') or b'"epoch":2,' not in line]
    padding = len(run.events.read_bytes()) - len(b"".join(lines))
    run.events.write_bytes(b"".join(lines) + b'{"kind":"other","t":0,"x":"' + b"x" * padding + b'"}\n')


def a_shorter_log(run: RunDirectory) -> None:
    run.events.write_bytes(b"".join(lines_of(run)[:-12]))


def a_checkpoint_of_another_run(run: RunDirectory) -> None:
    progress, tensors = load_checkpoint(run.last)
    progress.run_id = "0123456789abcdef"
    save_checkpoint(run.last, progress, tensors)


def an_older_last(run: RunDirectory) -> None:
    progress, tensors = load_checkpoint(run.last)
    progress.step, progress.evaluated = 4, 1
    save_checkpoint(run.last, progress, tensors)


def a_best_of_another_loss(run: RunDirectory) -> None:
    progress, tensors = load_checkpoint(run.best)
    progress.best_loss = (progress.best_loss or 0) + 100
    save_checkpoint(run.best, progress, tensors)


def a_kept_epoch_under_another_number(run: RunDirectory) -> None:
    os.replace(state_file(run.kept, kept_epochs(run.kept)[0]), state_file(run.kept, 1))


def previews_of_another_size(run: RunDirectory) -> None:
    write_preview(run.previews, 2, [bytes(100)] * 3, 10)


def a_link(run: RunDirectory) -> None:
    run.note.symlink_to(run.path.parent)


def a_fifo(run: RunDirectory) -> None:
    run.log.unlink(missing_ok=True)
    os.mkfifo(run.log)


def a_file_for_previews(run: RunDirectory) -> None:
    shutil.rmtree(run.previews)
    run.previews.touch()


def a_link_for_kept(run: RunDirectory) -> None:
    run.kept.rename(run.path.parent / "elsewhere")
    run.kept.symlink_to(run.path.parent / "elsewhere")


def no_weights_at_all(run: RunDirectory) -> None:
    run.last.unlink()
    run.best.unlink()


def a_fifo_for_a_config(run: RunDirectory) -> None:
    run.config.unlink()
    os.mkfifo(run.config)


FAULTS: list[tuple[str, Callable[[RunDirectory], object], str]] = [
    ("config.toml", lambda run: run.config.write_text("epochs = 'many'"), "epochs must be"),
    ("config.toml", a_fifo_for_a_config, "a FIFO"),
    ("events.jsonl", a_line_of_garbage, "not as any version"),
    ("events.jsonl", a_number_that_is_none, "not as any version"),
    ("events.jsonl", an_epoch_less, "epoch 2 is missing"),
    ("events.jsonl", lambda run: run.events.unlink(), "it is missing"),
    ("last.safetensors", lambda run: flip(run.last), "checksum"),
    ("last.safetensors", lambda run: cut(run.last), "is damaged"),
    ("last.safetensors", a_shorter_log, "bytes when it was written"),
    ("last.safetensors", a_checkpoint_of_another_run, "of another run"),
    ("last.safetensors", an_older_last, "older than the log's newest"),
    ("best.safetensors", lambda run: run.best.unlink(), "it is missing"),
    ("last.safetensors", no_weights_at_all, "it is missing"),
    ("best.safetensors", a_best_of_another_loss, "test loss"),
    ("kept/epoch-000003.safetensors", lambda run: flip(state_file(run.kept, 3)), "checksum"),
    ("kept/epoch-000001.safetensors", a_kept_epoch_under_another_number, "it is of epoch"),
    ("previews/", lambda run: cut(preview_files(run.previews)[0][1]), "epoch-000001.png"),
    ("previews/", previews_of_another_size, "epoch-000002.png"),
    ("previews/", lambda run: (run.previews / "originals.png").unlink(), "originals.png is missing"),
    ("kinds of files", a_link, "note.txt is a link"),
    ("kinds of files", a_fifo, "trainer.log is a FIFO"),
    ("kinds of files", a_file_for_previews, "previews is a file, not a directory"),
    ("kinds of files", a_link_for_kept, "kept is a link, not a directory"),
    ("permissions", lambda run: run.last.chmod(0o666), "everybody may write: last.safetensors"),
]


@pytest.mark.parametrize(
    ("file", "damage", "says"), FAULTS, ids=[f"{at}-{file}" for at, (file, *_) in enumerate(FAULTS)]
)
def test_what_is_wrong_is_named(
    run: RunDirectory, tui_vae: Run, file: str, damage: Callable[[RunDirectory], object], says: str
) -> None:
    assert not wrong(run)
    damage(run)
    found = {check.file: check.found for check in wrong(run)}
    assert says in found[file]
    code, out, err = tui_vae("verify", "run")
    assert (code, err) == (1, "")
    assert any(line.startswith("✗") and says in line for line in out.splitlines())


def test_what_a_crash_leaves_is_no_fault(own_runs: Path) -> None:
    directory = new_run(own_runs, name="run", **KEEPING)
    with pytest.raises(Killed):
        train_here(directory, Script(kill_at=7))
    with directory.events.open("ab") as file:
        file.write(b'{"kind":"step","t":17')
    (directory.path / ".last.safetensors.abc.part").write_bytes(b"half")
    checks = {check.file: check for check in verify_run(directory)}
    assert all(check.ok for check in checks.values())
    assert "1 line torn by a crash" in checks["events.jsonl"].found
    assert ".last.safetensors.abc.part" in checks["leftovers"].found
    assert train_here(directory) == 0
    assert not wrong(directory)
    former = go_back(directory, 2)
    assert former is not None and not wrong(former)
    assert not wrong(directory)  # though the log still speaks of the epochs after
    with pytest.raises(Killed):
        train_here(directory, Script(kill_at=1))
    directory.best.unlink()  # a kept epoch has this very file
    shutil.copy(former.best, directory.best)  # as by a process that was killed before it wrote the last one
    assert not wrong(directory)


def test_a_living_run_gives_no_false_alarm(own_runs: Path) -> None:
    directory = new_run(own_runs, name="run", **{**KEEPING, "epochs": 12})
    alarms: list[Check] = []
    rounds = 0
    ended = threading.Event()

    def keep_verifying() -> None:
        nonlocal rounds
        while not ended.is_set():
            alarms.extend(wrong(directory))
            rounds += 1

    watcher = threading.Thread(target=keep_verifying)
    watcher.start()
    try:
        assert train_here(directory) == 0
    finally:
        ended.set()
        watcher.join()
    assert len(events(directory, ev.EpochEvent)) == 12 and rounds > 5
    assert not alarms


def test_a_finished_run_needs_its_best_weights_alone_to_be_looked_at(run: RunDirectory) -> None:
    run.last.unlink()
    assert [check.found for check in verify_run(run) if check.file == run.last.name] == [
        "there is none: the run can be looked at, not trained on"
    ]
    assert not wrong(run)


@given(st.sampled_from(range(12)), st.binary(max_size=300), st.integers(0, 2000), st.booleans())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_of_any_file_stop_it(
    whole: RunDirectory, tmp_path: Path, which: int, data: bytes, at: int, into: bool
) -> None:
    run = RunDirectory(tmp_path / "fuzzed")
    shutil.rmtree(run.path, ignore_errors=True)
    shutil.copytree(whole.path, run.path)
    files = sorted(path for path in run.path.rglob("*") if path.is_file())
    path = files[which % len(files)]
    before = path.read_bytes()
    path.write_bytes(before[:at] + data + before[at + len(data) :] if into else data)
    assert all(check.found.isprintable() for check in verify_run(run))


def test_names_from_strangers_do_not_steer_the_terminal(run: RunDirectory, tui_vae: Run) -> None:
    (run.path / "a\x1b[31mred").write_bytes(b"")
    code, out, _ = tui_vae("verify", "run")
    assert code == 0 and "not of tui-vae: ared" in out and "\x1b" not in out
