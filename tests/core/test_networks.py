"""Networks of ours: any size of images, batch normalization, weight decay, steps of one image."""

from __future__ import annotations

from math import prod

import pytest
import torch

from tests.support.pictures import SHAPE, pictures
from tui_vae.config import make_config
from tui_vae.core.evaluation.forward import decode, reconstruct
from tui_vae.core.evaluation.latent_gaussian import fit_gaussian
from tui_vae.core.evaluation.metrics import evaluate
from tui_vae.core.evaluation.posteriors import encode_posteriors
from tui_vae.core.models.build import build_model
from tui_vae.core.objectives import make_objective
from tui_vae.errors import UserError
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.run_setup import load_data_and_model, resolve_machine_options

torch.set_num_threads(1)


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("shape", [(28, 28), (29, 31), (3, 64, 64), (8, 8), (3, 8, 200), (256, 256)])
def test_the_convolutional_network_mirrors_any_size(shape: tuple[int, ...], norm: str) -> None:
    config = make_config({"model": "conv", "hidden": "12", "latent-dim": 3, "norm": norm, "precision": "float32"})
    model = build_model(config, shape)
    learner = Learner(config, model, torch.device("cpu"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learner.step(pictures(4, shape), 1e-3, 1.0)
    still = [name for name, value in model.state_dict().items() if torch.equal(value, before[name])]
    assert not [name for name in still if name.endswith("weight")]  # every layer learns
    assert decode(model, torch.zeros(2, 3)).shape == (2, prod(shape))
    inner = [layer.unflattened_size[1:] for layer in model.modules() if isinstance(layer, torch.nn.Unflatten)]
    assert max(inner[-1]) <= 8 or min(inner[-1]) == 1  # the larger the image, the more convolutions


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_batch_norm_looks_at_one_image_like_at_many_and_only_training_moves_it(kind: str) -> None:
    config = make_config({"model": kind, "hidden": "16", "latent-dim": 3, "norm": "batch", "precision": "float32"})
    images = pictures(60)
    learner = Learner(config, build_model(config, SHAPE), torch.device("cpu"))
    for _ in range(3):
        learner.step(images, 1e-3, 1.0)
    learner.take_means()
    model, before = learner.model, {name: value.clone() for name, value in learner.tensors().items()}
    together = reconstruct(model, images)
    for index in (0, 7):
        alone = reconstruct(model, images[index : index + 1])
        torch.testing.assert_close(alone.images[0], together.images[index], rtol=1e-4, atol=1e-5)
    evaluate(model, images, make_objective(config), 1.0, seed=0)
    fit_gaussian(encode_posteriors(model, images))
    decode(model, torch.zeros(1, 3))
    after = learner.tensors()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any("running_mean" in name for name in after)
    assert model.training


def test_weight_decay_is_that_of_adamw_and_zero_is_adam() -> None:
    def trained(decay: float) -> torch.Tensor:
        config = make_config(
            {"hidden": "9", "latent-dim": 3, "precision": "float32", "optimizer": "adam", "weight-decay": decay}
        )
        learner = Learner(config, build_model(config, SHAPE), torch.device("cpu"))
        learner.step(pictures(20), 1e-2, 1.0)
        weight: torch.Tensor = learner.model.state_dict()["encoder.0.weight"].clone()
        return weight

    start = build_model(make_config({"hidden": "9", "latent-dim": 3}), SHAPE).state_dict()["encoder.0.weight"]
    torch.testing.assert_close(trained(0.5), trained(0.0) - 1e-2 * 0.5 * start, rtol=1e-5, atol=1e-7)


def test_a_step_of_one_image_is_refused_where_a_network_normalizes_over_it() -> None:
    given = {"norm": "batch", "batch-size": 599, "train-limit": 600, "test-limit": 20, "device": "cpu", "threads": 1}
    with pytest.raises(UserError, match="would have one image"):
        load_data_and_model(resolve_machine_options(make_config(given)))
    load_data_and_model(resolve_machine_options(make_config({**given, "norm": "layer"})))
