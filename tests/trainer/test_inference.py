"""Inference requests: about all images the last evaluation answers while a run trains, else the newest weights do."""

import time
from collections.abc import Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.support.processes import events
from tests.support.training import STEPS, Script, new_run, same, train_here
from tui_vae.core.data import datasets
from tui_vae.core.evaluation.kl_split import split_kl_in_parts
from tui_vae.runs import protocol
from tui_vae.runs.events import EpochEvent
from tui_vae.runs.reply_sizes import most_reconstructions
from tui_vae.trainer import evaluation_cache, inference
from tui_vae.trainer.inference import Inference
from tui_vae.trainer.server import Ticket

OF_ALL = (protocol.Map(), protocol.TestErrors(), protocol.Sample(count=3))


class Noting(Script):
    """Notes at which look a reply came."""

    def pending(self) -> Iterator[Ticket]:
        for ticket in super().pending():
            yield Ticket(ticket.request, lambda reply: self.replies.append((self.looks, reply)))


def never_resting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costly replies come within a few steps, however slow the machine: a short training must not end before them."""
    monkeypatch.setattr(inference, "BESIDE_TRAINING", 1.0)
    monkeypatch.setattr(inference, "TURN", 0.0)


def test_what_is_asked_of_all_images_is_answered_at_once_from_the_last_evaluation(own_runs: Path) -> None:
    directory, inbox = new_run(own_runs), Noting({8: OF_ALL})
    assert train_here(directory, inbox) == 0
    first, _ = events(directory, EpochEvent)
    (_, plane), (_, errors), (_, samples) = inbox.replies
    assert [look for look, _ in inbox.replies] == [8, 8, 8]
    assert {(reply.epoch, reply.step) for _, reply in inbox.replies} == {(1, STEPS)}
    assert plane.kl_per_dim == first.test.kl_per_dim
    assert sum(deviation**2 > 0.01 for deviation in plane.deviations) == first.test.active_units
    assert len(plane.points) == 150 * 2 * 4
    assert np.frombuffer(errors.mse, "<f4").mean() == pytest.approx(first.test.mse, rel=1e-5)
    assert len(samples.images) == 3 * 784


def test_before_the_first_evaluation_some_images_answer_for_all(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_cache, "FIRST_IMAGES", 40)
    directory, inbox = new_run(own_runs), Noting({1: OF_ALL, 2: OF_ALL})
    assert train_here(directory, inbox) == 0
    assert not any(isinstance(reply, protocol.Failure) for _, reply in inbox.replies) and len(inbox.replies) == 6
    maps = [reply for _, reply in inbox.replies if isinstance(reply, protocol.LatentMap)]
    labels = datasets.load(test_limit=150).labels("test").tobytes()
    assert (maps[0].step, maps[0].labels) == (1, labels[:40])
    assert len(maps[0].points) == 40 * 2 * 4
    for _, reply in inbox.replies:
        if isinstance(reply, protocol.Errors):
            assert len(reply.mse) == 150 * 4 and reply.labels == labels


def test_while_nothing_is_trained_all_images_are_looked_at_with_the_newest_weights(own_runs: Path) -> None:
    pairs = protocol.Reconstruct(indices=list(range(150)))
    directory, inbox = new_run(own_runs), Script({7: [protocol.Pause()]}, [*OF_ALL, pairs, protocol.Resume()])
    assert train_here(directory, inbox) == 0
    _, plane, errors, samples, pairs, _ = inbox.replies
    assert {reply.step for reply in (plane, errors, samples, pairs)} == {STEPS + 2}
    np.testing.assert_allclose(np.frombuffer(errors.mse, "<f4"), pairs.mse, rtol=1e-5)
    mu = np.frombuffer(pairs.mu, "<f4").reshape(150, -1)
    np.testing.assert_allclose(plane.deviations, mu.std(axis=0), rtol=1e-4)


def test_in_a_long_epoch_all_images_are_looked_at_anew_beside_training(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_cache, "STALE_AFTER", 0.0)
    monkeypatch.setattr(evaluation_cache, "REFRESH_SHARE", 1.0)
    directory = new_run(own_runs, **{"batch-size": 20})  # 25 steps an epoch
    inbox = Noting({look: [protocol.Map()] for look in (30, 34, 38)})
    assert train_here(directory, inbox) == 0
    steps = [reply.step for _, reply in inbox.replies]
    assert [look for look, _ in inbox.replies] == [30, 34, 38]
    assert steps[0] == 25 < steps[1] < steps[2] <= 36
    undisturbed = new_run(own_runs, **{"batch-size": 20})
    assert train_here(undisturbed) == 0
    assert same(load_file(directory.last), load_file(undisturbed.last))


def test_more_images_than_a_reply_holds_are_refused_in_a_sentence(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MAX_FRAME", 100_000)  # about 60 pairs of 28×28 images
    most = most_reconstructions(784, 4)
    too_many, all_that_fit = (protocol.Reconstruct(indices=list(range(count))) for count in (most + 1, most))
    directory, inbox = new_run(own_runs, **{"latent-dim": 4}), Script({3: [too_many, all_that_fit]})
    assert train_here(directory, inbox) == 0
    refusal, pairs = inbox.replies
    assert refusal == protocol.Failure(
        message=f"at most {most} images of this run fit into one reply, not {most + 1}",
        hint="ask for the others in another request",
    )
    assert len(pairs.mse) == most and len(protocol.frame(pairs)) <= 100_000


def test_costly_replies_come_beside_training_and_change_no_weights(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_resting(monkeypatch)
    latent = np.zeros(4, "<f4").tobytes()
    directory = new_run(own_runs, **{"batch-size": 5})  # 100 steps an epoch
    inbox = Noting({110: [protocol.SplitKl(), protocol.Nearest(z=latent, count=5), protocol.Nearest(z=latent[:8])]})
    assert train_here(directory, inbox) == 0
    (_, refusal), *others = inbox.replies
    assert refusal == protocol.Failure(message="a latent has 4 numbers, not 2")
    found = {type(reply): reply for _, reply in others}
    split, near = found[protocol.KlSplit], found[protocol.Neighbours]
    first, _ = events(directory, EpochEvent)
    assert (split.epoch, split.step, split.images) == (1, 100, 150)
    assert split.kl == pytest.approx(first.test.kl, rel=1e-5)
    assert split.mutual_information + split.total_correlation + sum(split.per_dimension) == pytest.approx(split.kl)
    assert len(near.usual) == 30 and list(near.usual) == sorted(near.usual)  # every 5th of 150 images
    undisturbed = new_run(own_runs, **{"batch-size": 5})
    assert train_here(undisturbed) == 0
    assert same(load_file(directory.last), load_file(undisturbed.last))


def test_the_nearest_training_images_are_those_of_all_distances(own_runs: Path) -> None:
    z = np.array([0.3, -1.0, 0.5, 2.0], "<f4").tobytes()
    requests: list[protocol.AnyRequest] = [protocol.Nearest(z=z, count=9), protocol.Decode(z=z), protocol.Resume()]
    directory, inbox = new_run(own_runs), Script({7: [protocol.Pause()]}, requests)
    assert train_here(directory, inbox) == 0
    _, near, decoded, _ = inbox.replies
    data = datasets.load(train_limit=500)
    image = np.frombuffer(decoded.images, np.uint8) / 255
    distances = ((data.train_images.reshape(500, 784) / 255 - image) ** 2).mean(axis=1)
    order = np.argsort(distances)[:9]
    assert list(near.indices) == order.tolist()
    assert near.mse == pytest.approx(distances[order], rel=0.02)  # the image there is rounded to grey levels
    assert near.images == data.train_images[order].tobytes()
    assert near.labels == data.labels("train")[order].tobytes()


def test_samples_of_a_class_come_from_the_gaussian_of_its_images(own_runs: Path) -> None:
    requests = [protocol.Sample(count=64, label=label, seed=1) for label in (1, 1, 9, 11)]
    directory, inbox = new_run(own_runs), Script({7: [protocol.Pause()]}, [*requests, protocol.Resume()])
    assert train_here(directory, inbox) == 0
    _, once, again, other, none, _ = inbox.replies
    assert once == again != other and "is class 11" in none.message
    assert len(once.z) == 64 * 4 * 4 and len(once.images) == 64 * 784


def test_while_a_run_trains_a_costly_reply_keeps_to_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(inference, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def parts() -> Generator[None, None, str]:
        for _ in range(3):
            now[0] += 0.01
            yield
        return "found"

    for state, share in (("training", inference.BESIDE_TRAINING), ("paused", 1.0)):
        job = Inference._beside_training(
            cast(Any, SimpleNamespace(_state=lambda state=state: state, _costly=False)), parts()
        )
        rests = list(job)
        assert [0.01 / (0.01 + rest) for rest in rests] == pytest.approx([share] * 3)


def test_costly_replies_take_turns_and_a_split_is_computed_once_for_all_who_ask(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []

    def counted(*arguments: Any) -> Any:
        computed.append(arguments)
        return split_kl_in_parts(*arguments)

    monkeypatch.setattr(inference, "split_kl_in_parts", counted)
    never_resting(monkeypatch)
    directory, inbox = new_run(own_runs, **{"batch-size": 5}), Noting({110: [protocol.SplitKl()] * 3})
    assert train_here(directory, inbox) == 0
    (_, first), *others = inbox.replies
    assert [reply for _, reply in others] == [first] * 2 and isinstance(first, protocol.KlSplit)
    assert len(computed) == 1


def test_while_a_run_trains_the_kl_is_split_of_some_images_and_then_of_all(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "LIVE_IMAGES", 50)
    never_resting(monkeypatch)
    directory = new_run(own_runs, **{"batch-size": 5})
    inbox = Script({110: [protocol.SplitKl()], 190: [protocol.Pause()]}, [protocol.SplitKl(), protocol.Resume()])
    assert train_here(directory, inbox) == 0
    assert [reply.images for reply in inbox.replies if isinstance(reply, protocol.KlSplit)] == [50, 150]


def test_a_refresh_beside_training_costs_it_three_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    cache = evaluation_cache.EvaluationCache(None, torch.zeros(0), lambda: (0, 0), errors=False)  # type: ignore[arg-type]

    def advance() -> None:
        now[0] += 0.01

    monkeypatch.setattr(cache, "advance_refresh", advance)
    cache.request_refresh()
    took = 0.0
    for _ in range(5000):
        if cache.is_refresh_due:
            cache.refresh_beside_training()
            took += 0.01
        now[0] += 0.005  # a training step
    assert 0.02 < took / (now[0] - 100.0) < 0.0305
