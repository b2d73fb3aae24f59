"""A queue of runs: each begins when the one before it has ended, whether anybody watches or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import assert_one_sentence
from tests.support.processes import SMALL, command, events, finish, kill_trainer, wait_until
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.summary import RunSummary, summarize

LONG = (*SMALL, "--schedule", "constant")


def train(*words: object) -> str:
    code, out, err = finish(command("train", "--detach", *LONG, *words))
    assert code == 0, err
    return out.strip()


def states(runs: Path, *names: str) -> list[str]:
    return [summarize(RunDirectory(runs / name)).state for name in names]


def waits_for(runs: Path, name: str) -> RunSummary:
    return summarize(RunDirectory(runs / name))


def test_runs_wait_for_their_turn_one_behind_the_other(own_runs: Path) -> None:
    assert train("--name", "a", "--epochs", 100000) == "a"
    assert train("--name", "b", "--epochs", 1, "--after", "a") == "b"
    assert train("--name", "c", "--epochs", 100000, "--after", "a") == "c"
    assert states(own_runs, "a", "b", "c") == ["training", "queued", "queued"]
    listed = {each["name"]: each for each in json.loads(finish(command("ls", "--json"))[1])}
    assert (listed["b"]["after"], listed["c"]["after"]) == ("a", "b"), "c waits behind b, not beside it"
    assert not events(RunDirectory(own_runs / "b"), ev.RunEvent), "nothing of it is loaded meanwhile"
    refused = finish(command("pause", "b"))
    assert_one_sentence(refused, 1, "run 'b' begins when 'a' has ended")
    assert finish(command("stop", "a"))[0] == 0
    wait_until(lambda: states(own_runs, "a", "b", "c") == ["stopped", "finished", "training"])


@pytest.mark.slow
def test_a_queued_run_can_be_begun_or_taken_out_and_a_killed_one_lets_the_next_begin(own_runs: Path) -> None:
    train("--name", "a", "--epochs", 100000)
    train("--name", "b", "--epochs", 1, "--after", "a")
    assert finish(command("resume", "b"))[0] == 0
    wait_until(lambda: states(own_runs, "a", "b") == ["training", "finished"])
    train("--name", "c", "--epochs", 1, "--after", "a")
    code, said, _ = finish(command("stop", "c"))
    assert code == 0 and "c: taken out of the queue before it began; begin it with: " in said and "step" not in said
    assert states(own_runs, "c") == ["stopped"]
    train("--name", "d", "--epochs", 1, "--after", "a")
    train("--name", "e", "--epochs", 1, "--after", "d")
    kill_trainer(RunDirectory(own_runs / "d"))
    assert states(own_runs, "d") == ["crashed"]
    wait_until(lambda: states(own_runs, "a", "e") == ["training", "finished"])
    refused = finish(command("train", "--after", "nobody", *SMALL))
    assert_one_sentence(refused, 1, "there is no run 'nobody'")
