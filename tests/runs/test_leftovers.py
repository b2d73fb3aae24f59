"""What killed processes leave beside the runs is swept; nothing else is."""

import os
import time
from pathlib import Path

import pytest

from tui_vae.config import make_config
from tui_vae.runs import leftovers
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.leftovers import LEFT_AFTER, Purpose, make_hidden
from tui_vae.runs.manage import delete_run


def left(runs_dir: Path, purpose: Purpose, *files: str, age: float = LEFT_AFTER + 60) -> Path:
    """A directory beside the runs, as a process leaves it that is killed."""
    runs_dir.mkdir(exist_ok=True)
    folder = make_hidden(runs_dir, purpose)
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    os.utime(folder, times=(time.time() - age,) * 2)
    return folder


def test_making_or_deleting_a_run_sweeps_what_killed_processes_left(own_runs: Path) -> None:
    def leave() -> list[Path]:
        return [
            left(own_runs, "new"),
            left(own_runs, "new", "previews/originals.png", ".config.toml.abc.part"),
            left(own_runs, "old", "config.toml", "events.jsonl", "trainer.log", "lock"),
            left(own_runs, "deleted", "mine/note.txt", "mine/last.safetensors", "mine/previews/epoch-000001.png"),
            left(own_runs, "deleted", "mine/tags.toml", "mine/tensorboard/from-step-0/events.out.tfevents.1"),
        ]

    swept, young = leave(), left(own_runs, "new", "config.toml", age=LEFT_AFTER - 60)
    run, _ = create_run(own_runs, make_config({}))
    assert not any(folder.exists() for folder in swept) and young.exists()
    swept = leave()
    delete_run(run)
    assert [path.name for path in own_runs.iterdir()] == [young.name] and not list_runs(own_runs)


def test_sweeping_spares_links_what_they_lead_to_other_files_and_names(own_runs: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "previews").mkdir(parents=True)
    (outside / "config.toml").write_text("")
    own_runs.mkdir()
    link = own_runs / ".new-abcdefgh"
    link.symlink_to(outside)
    link_inside = left(own_runs, "deleted")
    (link_inside / "mine").symlink_to(outside)
    linked_previews = left(own_runs, "old", "config.toml")
    (linked_previews / "previews").symlink_to(outside)
    ideas = own_runs / ".new-ideas"
    ideas.mkdir()
    theirs = [left(own_runs, "old", "thesis.tex"), left(own_runs, "deleted", "mine/thesis.tex"), ideas]
    for path in (link, link_inside, linked_previews, ideas):
        os.utime(path, times=(0, 0), follow_symlinks=False)
    create_run(own_runs, make_config({}))
    assert link.is_symlink() and (link_inside / "mine").is_symlink() and all(path.exists() for path in theirs)
    assert not linked_previews.exists()
    assert {path.name for path in outside.iterdir()} == {"previews", "config.toml"}


def test_sweeping_spares_what_belongs_to_others(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = left(own_runs, "new", "config.toml")
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        leftovers.sweep_leftovers(own_runs)
        assert folder.exists()
    leftovers.sweep_leftovers(own_runs)
    assert not folder.exists()


def test_a_run_is_never_a_leftover(own_runs: Path) -> None:
    run, _ = create_run(own_runs, make_config({}))
    os.utime(run.path, times=(0, 0))
    leftovers.sweep_leftovers(own_runs)
    assert RunDirectory(run.path).config.exists()
