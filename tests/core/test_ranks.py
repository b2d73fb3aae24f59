"""Several ranks compute what one device computes: the same gradients, figures, weights and noise; no image twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support.ranks import ThreadRank, all_at_once, thread_ranks
from tests.support.steps import config
from tui_vae.core.models.build import build_model
from tui_vae.core.ranks import ALONE, share_of
from tui_vae.core.seeds import epoch_order
from tui_vae.core.step.load_kernels import Kernels, load_kernels
from tui_vae.trainer.batches import batches
from tui_vae.trainer.learner import Learner

CPU = torch.device("cpu")
SHAPE = (8, 8)
PICTURES = torch.randint(0, 256, (43, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
"""Three batches of 16, 16 and 11 images."""


@given(count=st.integers(0, 40), world=st.integers(1, 9))
def test_every_image_of_a_batch_has_one_rank(count: int, world: int) -> None:
    shares = [share_of(rank, count) for rank in thread_ranks(world)]
    assert [index for share in shares for index in range(count)[share]] == list(range(count))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 60), size=st.integers(1, 20), world=st.integers(1, 5))
def test_no_image_of_an_epoch_is_taken_twice_or_left_out(count: int, size: int, world: int) -> None:
    images, order = torch.arange(count), epoch_order(0, 0, count)
    whole = [batch.tolist() for batch in batches(images, order, size, CPU)]
    shares = [
        [share.clone() for share in batches(images, order, size, CPU, ranks=rank)] for rank in thread_ranks(world)
    ]
    assert all(len(each) == len(whole) for each in shares)  # a rank takes part in every step
    together = [[index for part in parts for index in part.tolist()] for parts in zip(*shares, strict=True)]
    assert together == whole
    assert Counter(index for batch in together for index in batch) == Counter(range(count))


def learners(
    world: int, kernels: Kernels | None, given: dict[str, Any]
) -> tuple[Learner, list[Learner], list[ThreadRank]]:
    """One that learns alone, and as many as there are ranks, all from the same start."""
    options = config(**{"batch-size": 16, "threads": 1, "objective": "sigma", **given})
    ranks = thread_ranks(world)

    def learner(ranks: Any) -> Learner:
        model = build_model(options, SHAPE)
        return Learner(options, model, CPU, train_size=len(PICTURES), kernels=kernels, ranks=ranks)

    return learner(ALONE), [learner(rank) for rank in ranks], ranks


def learn(learner: Learner, ranks: Any, images: Tensor, epochs: int = 1) -> None:
    for epoch in range(epochs):
        order = epoch_order(0, epoch, len(images))
        whole = torch.split(order, 16)
        for number, batch in enumerate(batches(images, order, 16, CPU, ranks=ranks)):
            learner.step(batch, 1e-3 * (1 + number), 0.5 + epoch, len(whole[number]))


def assert_alike(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float, is_normalized: bool) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        if name == "noise":
            assert torch.equal(value, other[name])  # what is drawn next is what one device would draw
            continue
        if is_normalized and name.endswith((".bias", ".running_mean")):
            continue  # a bias before it has a gradient of rounding alone, of which Adam makes a whole step
        scale = max(float(value.abs().max()), 1e-6) if value.numel() else 1.0
        torch.testing.assert_close(other[name], value, rtol=0, atol=tolerance * scale, msg=name)


RECIPES: dict[str, dict[str, Any]] = {
    "sigma": {},
    "free bits": {"free-bits": 0.5, "objective": "mse"},
    "bce": {"objective": "bce"},
    "adam with decay": {"optimizer": "adam", "weight-decay": 0.1},
    "muon": {"optimizer": "muon", "weight-decay": 0.1},
    "total correlation": {"tc-weight": 3.0, "objective": "mse"},
    "batch normalization": {"norm": "batch"},
    "conv": {"model": "conv"},
    "conv with batch normalization": {"model": "conv", "norm": "batch"},
}


CASES = [
    *[(recipe, "kernels", 43) for recipe in ("sigma", "free bits", "bce", "adam with decay", "muon", "conv")],
    *[(recipe, "autograd", 43) for recipe in RECIPES if recipe != "conv"],
    *[("sigma", how, 33) for how in ("kernels", "autograd")],
    ("batch normalization", "autograd", 34),
]
"""Recipe, how its steps are made, and images: of 33 the last batch has one, of 34 two, fewer than there are ranks."""


@pytest.mark.parametrize(("recipe", "how", "images"), CASES)
def test_three_ranks_learn_what_one_device_learns(recipe: str, how: str, images: int) -> None:
    given = RECIPES[recipe]
    kernels = load_kernels() if how == "kernels" else Kernels()
    alone, together, ranks = learners(3, kernels, given)
    learn(alone, ALONE, PICTURES[:images], epochs=2)
    all_at_once(ranks, lambda rank: learn(together[rank.rank], rank, PICTURES[:images], epochs=2))
    expected = alone.take_means()
    for learner in together:
        found = learner.take_means()
        assert found.images == expected.images
        for figure in ("loss", "recon", "kl"):
            assert getattr(found, figure) == pytest.approx(getattr(expected, figure), rel=1e-4, abs=1e-5), figure
        assert_alike(alone.tensors(), learner.tensors(), 2e-3, given.get("norm") == "batch")
    first, second = (learner.tensors() for learner in together[:2])
    assert all(torch.equal(first[name], second[name]) for name in first)  # and to the last bit the same on all


@settings(deadline=None, max_examples=12)
@example(count=2, world=2, objective="sigma", free_bits=0.0, how="kernels", norm="batch", seed=497)
@given(
    count=st.integers(2, 16), world=st.integers(2, 4), objective=st.sampled_from(["sigma", "mse", "bce"]),
    free_bits=st.sampled_from([0.0, 0.3]), how=st.sampled_from(["kernels", "autograd"]),
    norm=st.sampled_from(["layer", "batch"]), seed=st.integers(0, 2**31),
)  # fmt: skip
def test_the_gradients_are_those_of_one_device(
    count: int, world: int, objective: str, free_bits: float, how: str, norm: str, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=generator)
    kernels = load_kernels() if how == "kernels" else Kernels()
    given = {"objective": objective, "free-bits": free_bits, "norm": norm}
    alone, together, ranks = learners(world, kernels, given)
    alone.step(images, 0.0, 1.5)
    all_at_once(ranks, lambda rank: together[rank.rank].step(images[share_of(rank, count)], 0.0, 1.5, count))
    expected = alone._parameters.grad
    assert expected is not None and bool(expected.any())
    for learner in together:
        found = learner._parameters.grad
        assert found is not None
        # Batch normalization of a few images divides by their differences, which multiplies the rounding.
        assert float((found - expected).norm()) <= (1e-3 if norm == "batch" else 1e-4) * float(expected.norm())


def test_in_bfloat16_the_figures_agree_within_its_rounding() -> None:
    alone, together, ranks = learners(2, None, {"precision": "bfloat16"})
    learn(alone, ALONE, PICTURES, epochs=2)
    all_at_once(ranks, lambda rank: learn(together[rank.rank], rank, PICTURES, epochs=2))
    expected, found = alone.take_means(), together[0].take_means()
    assert found.recon == pytest.approx(expected.recon, rel=1e-2) and found.kl == pytest.approx(expected.kl, rel=5e-2)
