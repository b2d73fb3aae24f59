"""The written-out backward pass against autograd, and the flat parameters that it writes to."""

from __future__ import annotations

import copy
from itertools import product

import pytest
import torch
from torch import Tensor

from tui_vae.core.models.mlp import MLP
from tui_vae.core.models.vae import ACTIVATIONS, OUTPUTS
from tui_vae.core.objectives import OBJECTIVES, kl_per_dimension, squared_error, with_free_bits
from tui_vae.core.step.flat import flatten_parameters, half_twin
from tui_vae.core.step.handwritten import HandwrittenStep, can_differentiate

PIXELS, LATENT, BETA = 30, 4, 1.7


def model(hidden: tuple[int, ...], activation: str, norm: str, output: str) -> MLP:
    torch.manual_seed(0)
    return MLP(PIXELS, hidden, LATENT, activation, norm, output).double()


def by_autograd(
    vae: MLP, x: Tensor, noise: Tensor, free_bits: float = 0.0, objective: str = "sigma"
) -> tuple[Tensor, Tensor]:
    """Loss and reconstruction error."""
    mu, logvar = (half.to(x.dtype) for half in vae.encode(x))
    decoded = vae.decode(mu + torch.exp(0.5 * logvar) * noise).to(x.dtype)
    recon = squared_error(decoded, x).mean()
    kl = with_free_bits(kl_per_dimension(mu, logvar), free_bits)
    return OBJECTIVES[objective](recon, kl, BETA, PIXELS), recon


@pytest.mark.parametrize("objective", ["mse", "sigma"])
@pytest.mark.parametrize("free_bits", [0.0, 0.05])
def test_gradients_are_those_of_autograd(objective: str, free_bits: float) -> None:
    for activation, norm, output, hidden in product(ACTIVATIONS, ("none", "layer"), OUTPUTS, ((16, 8), (9,))):
        vae = model(hidden, activation, norm, output)
        x = torch.rand(7, PIXELS, dtype=torch.float64) * 2 - 1
        noise = torch.randn(7, LATENT, dtype=torch.float64)
        loss, recon = by_autograd(vae, x, noise, free_bits, objective)
        expected = torch.autograd.grad(loss, list(vae.parameters()))

        flatten_parameters(vae)
        result = HandwrittenStep(vae)(x, noise, OBJECTIVES[objective], BETA, free_bits)
        torch.testing.assert_close(result.loss, loss.detach())
        torch.testing.assert_close(result.recon, recon.detach())
        for parameter, gradient in zip(vae.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-11)


def test_flat_parameters_are_the_models_own() -> None:
    vae = model((16, 8), "silu", "layer", "tanh")
    x = torch.rand(5, PIXELS, dtype=torch.float64)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    flat = flatten_parameters(vae)
    for name, value in vae.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    shifted = vae.encode(x)[0].detach().clone()
    vae.decode(vae.encode(x)[0]).sum().backward()
    assert flat.grad is not None and bool(flat.grad.any())
    torch.optim.SGD([flat], lr=0.1).step()
    assert not torch.equal(vae.encode(x)[0], shifted)


def test_an_unknown_layer_is_left_to_autograd() -> None:
    vae = model((16,), "silu", "layer", "tanh")
    vae.encoder.append(torch.nn.Softplus())
    assert not can_differentiate(vae)
    with pytest.raises(ValueError, match="written out"):
        HandwrittenStep(vae)


def with_batch_norm(vae: MLP) -> MLP:
    for stack in (vae.encoder, vae.decoder):
        for place, layer in enumerate(stack):
            if isinstance(layer, torch.nn.LayerNorm):
                stack[place] = torch.nn.BatchNorm1d(layer.normalized_shape[0]).to(layer.weight)
    return vae


def test_batch_normalization_learns_and_keeps_its_running_statistics() -> None:
    vae = with_batch_norm(model((16, 8), "silu", "layer", "tanh"))
    x, noise = torch.rand(7, PIXELS, dtype=torch.float64), torch.randn(7, LATENT, dtype=torch.float64)
    by_hand = copy.deepcopy(vae)
    loss, recon = by_autograd(vae, x, noise)
    expected = torch.autograd.grad(loss, list(vae.parameters()))

    flatten_parameters(by_hand)
    result = HandwrittenStep(by_hand)(x, noise, OBJECTIVES["sigma"], BETA, 0.0)
    torch.testing.assert_close(result.recon, recon.detach())
    for parameter, gradient in zip(by_hand.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-11)
    for mine, theirs in zip(by_hand.buffers(), vae.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_half_precision_products_give_autocasts_gradients() -> None:
    vae = model((64, 32), "silu", "layer", "tanh").float()
    x, noise = torch.rand(48, PIXELS) * 2 - 1, torch.randn(48, LATENT)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, recon = by_autograd(vae, x, noise)
    expected = torch.autograd.grad(loss, list(vae.parameters()))
    exact = torch.autograd.grad(by_autograd(vae, x, noise)[0], list(vae.parameters()))

    flat = flatten_parameters(vae)
    twin, matrices = half_twin(vae, flat, torch.bfloat16)
    step = HandwrittenStep(vae, matrices)
    with torch.no_grad():
        twin.zero_()
        twin.copy_(flat)  # renews what the step multiplies with
    result = step(x, noise, OBJECTIVES["sigma"], BETA, 0.0)
    torch.testing.assert_close(result.recon, recon.detach().float(), rtol=1e-2, atol=0)
    for parameter, cast, gradient in zip(vae.parameters(), expected, exact, strict=True):
        assert parameter.grad is not None
        error = (parameter.grad - gradient).norm() / gradient.norm()
        assert error < max(0.02, 1.5 * (cast - gradient).norm() / gradient.norm())
