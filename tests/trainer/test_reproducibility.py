"""The same weights bit for bit, whatever happens to a run and whoever looks at it. The trainer is in this process."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.processes import events
from tests.support.training import LOOKS, STEPS, WILD, Killed, Script, new_run, same, train_here
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.runs.manage import rename_run
from tui_vae.trainer.checkpoints import load_checkpoint


def figures(directory: RunDirectory) -> list[tuple[int, ev.Metrics, ev.Metrics]]:
    return [(event.epoch, event.train, event.test) for event in read_history(directory.events).epochs]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    directory = new_run(tmp_path_factory.mktemp("undisturbed"))
    inbox = Script()
    assert train_here(directory, inbox) == 0
    assert inbox.looks == LOOKS
    return directory


def assert_same_run(directory: RunDirectory, undisturbed: RunDirectory) -> None:
    last = load_file(undisturbed.last)
    weights = sum(tensor.numel() for name, tensor in last.items() if name.startswith("model."))
    assert sum(tensor.numel() for tensor in last.values()) > 3 * weights  # with Adam's two moments, and the noise
    assert same(load_file(directory.last), last)
    assert same(load_file(directory.best), load_file(undisturbed.best))
    assert figures(directory) == figures(undisturbed)
    assert events(directory, ev.StateEvent)[-1].state == "finished"


def test_the_same_options_give_the_same_weights_and_another_seed_others(
    own_runs: Path, undisturbed: RunDirectory
) -> None:
    again, other = new_run(own_runs), new_run(own_runs, seed=1)
    assert train_here(again) == train_here(other) == 0
    assert_same_run(again, undisturbed)
    weights, others = load_file(undisturbed.last), load_file(other.last)
    assert not any(torch.equal(weights[name], others[name]) for name in weights if name.endswith("weight")
                   and weights[name].dim() == 2)  # fmt: skip


LOOK_INSIDE = (
    protocol.Describe(), protocol.Reconstruct(indices=[3, 141]), protocol.TestErrors(),
    protocol.Sample(count=3), protocol.Sample(count=2, source="prior"), protocol.Map(), protocol.Decode(z=bytes(16)),
)  # fmt: skip


def test_looking_inside_at_every_moment_changes_nothing(own_runs: Path, undisturbed: RunDirectory) -> None:
    directory = new_run(own_runs)
    inbox = Script(dict.fromkeys(range(1, LOOKS + 1), LOOK_INSIDE))
    assert train_here(directory, inbox) == 0
    assert len(inbox.replies) >= 2 * LOOKS
    assert not any(isinstance(reply, protocol.Failure) for reply in inbox.replies)
    assert_same_run(directory, undisturbed)


@pytest.mark.parametrize("how", ["pause", "stop", "checkpoint and kill", "kill"])
def test_a_disturbance_at_any_moment_leaves_the_weights_bit_for_bit(
    own_runs: Path, undisturbed: RunDirectory, how: str
) -> None:
    steps = set()
    for look in range(1, LOOKS + 1):
        directory = new_run(own_runs)
        match how:
            case "pause":
                inbox = Script({look: [protocol.Pause()]}, paused=[*LOOK_INSIDE, protocol.Resume()])
                assert train_here(directory, inbox) == 0
            case "stop":
                inbox = Script({look: [protocol.Stop()]})
                assert train_here(directory, inbox) == 0
                assert load_checkpoint(directory.last)[0].step == inbox.replies[0].step
                assert events(directory, ev.StateEvent)[-1].state == "stopped"
                assert train_here(directory) == 0
            case "checkpoint and kill":
                inbox = Script({look: [protocol.Checkpoint()]}, kill_at=look + 1)
                if look == LOOKS:
                    continue
                with pytest.raises(Killed):
                    train_here(directory, inbox)
                assert load_checkpoint(directory.last)[0].step == inbox.replies[0].step
                assert train_here(directory) == 0
            case "kill":
                inbox = Script(kill_at=look)
                with pytest.raises(Killed):
                    train_here(directory, inbox)
                assert train_here(directory) == 0
        assert_same_run(directory, undisturbed)
        steps |= {reply.step for reply in inbox.replies if isinstance(reply, protocol.Done)}
    assert steps == (set() if how == "kill" else set(range(1, 2 * STEPS + 1)))


def test_epochs_added_to_a_living_run_outlive_its_process(own_runs: Path) -> None:
    directory = new_run(own_runs)
    inbox = Script({2: [protocol.Resume(epochs=3)]}, kill_at=3)
    with pytest.raises(Killed):
        train_here(directory, inbox)
    assert isinstance(inbox.replies[0], protocol.Done)
    assert train_here(directory) == 0
    assert [event.epoch for event in read_history(directory.events).epochs] == [1, 2, 3, 4, 5]


def test_a_renamed_run_goes_on_under_its_new_name(own_runs: Path) -> None:
    directory = new_run(own_runs, name="old")
    assert train_here(directory, Script({2: [protocol.Stop()]})) == 0
    renamed = rename_run(directory, "new")
    assert train_here(renamed) == 0
    assert [(event.name, event.config["name"]) for event in events(renamed, ev.RunEvent)] == [
        ("old", "old"), ("new", "new")]  # fmt: skip
    assert load_checkpoint(renamed.last)[0].config["name"] == "new"


def test_whoever_looks_at_a_run_that_diverges_is_refused_and_it_ends_as_it_would_alone(own_runs: Path) -> None:
    wild = {**WILD, "lr": 10, "epochs": 4}
    alone, watched = new_run(own_runs, **wild), new_run(own_runs, **wild)
    inbox = Script(dict.fromkeys(range(1, 100), LOOK_INSIDE))
    assert train_here(alone) == train_here(watched, inbox) == 1
    assert figures(alone) == figures(watched)
    ruined = read_history(watched.events).epochs[-1].test
    assert ruined.loss is ruined.mse is ruined.accuracy is None
    assert any(isinstance(reply, protocol.Failure) for reply in inbox.replies)
    assert [event.message for event in events(watched, ev.ErrorEvent)] == [
        event.message for event in events(alone, ev.ErrorEvent)]  # fmt: skip


def test_best_is_the_epoch_with_the_lowest_test_loss(own_runs: Path) -> None:
    """A learning rate that ruins the network in epoch 3: the best weights are those of epoch 2, and say so."""
    ruin = {2 * (STEPS + 2) + 1: [protocol.Set(lr=0.3)]}
    directory, short = new_run(own_runs, epochs=3, schedule="constant"), new_run(own_runs, schedule="constant")
    assert train_here(directory, Script(ruin)) == train_here(short) == 0
    losses = [event.test.loss for event in read_history(directory.events).epochs if event.test.loss is not None]
    assert len(losses) == 3 and losses.index(min(losses)) == 1, losses
    progress, weights = load_checkpoint(directory.best)
    assert (progress.evaluated, progress.step) == (2, 2 * STEPS)
    assert same(weights, {k: v for k, v in load_file(short.last).items() if k.startswith("model.")})
