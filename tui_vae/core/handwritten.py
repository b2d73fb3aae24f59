"""One step's forward and backward pass of the fully connected VAE, written out.

The kernels are those that autograd would call; what is saved is its bookkeeping, and gradients go straight to their
places. On a CPU that is a tenth of a step. A test holds it to autograd's gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_vae.core.model import MLP, Logits
from tui_vae.core.objectives import Objective, kl_per_dimension

aten = torch.ops.aten
Forward = Callable[[Tensor], Tensor]
Backward = Callable[[Tensor, Tensor], Tensor]

# Backward passes take the gradient and the function's input …
ACTIVATIONS: dict[type[nn.Module], tuple[Forward, Backward]] = {
    nn.SiLU: (aten.silu, aten.silu_backward),
    nn.ReLU: (aten.relu, lambda gradient, x: aten.threshold_backward(gradient, x, 0)),
    nn.GELU: (aten.gelu, aten.gelu_backward),
}
# … and here the gradient and the function's output.
OUTPUTS: dict[type[nn.Module], tuple[Forward, Backward]] = {
    # tanh x = 2·σ(2x) - 1, and on a CPU the sigmoid costs half as much
    nn.Tanh: (lambda x: x.mul_(2).sigmoid_().mul_(2).sub_(1), aten.tanh_backward),
    nn.Sigmoid: (aten.sigmoid_, aten.sigmoid_backward),
    nn.Identity: (lambda x: x, lambda gradient, _: gradient),
    Logits: (lambda x: x.sigmoid_().mul_(2).sub_(1), lambda gradient, y: aten.tanh_backward(gradient, y).mul_(0.5)),
}


@dataclass(frozen=True)
class Result:
    """Means over the batch, as tensors without dimensions; `decoded` is x̂, `(N, D)`."""

    loss: Tensor
    recon: Tensor
    kl: Tensor
    decoded: Tensor


@dataclass
class _Hidden:
    """A hidden layer, and what its backward pass needs of the forward one."""

    linear: nn.Linear
    norm: nn.LayerNorm | None
    activation: type[nn.Module]
    inputs: Tensor | None = None
    linear_out: Tensor | None = None
    statistics: tuple[Tensor, Tensor] | None = None
    normed: Tensor | None = None


def can_differentiate(model: nn.Module) -> bool:
    """Whether this module knows every layer of `model`."""
    if type(model) is not MLP:
        return False
    known = {nn.Linear, nn.LayerNorm, *ACTIVATIONS}
    inner = [*model.encoder, *list(model.decoder)[:-1]]
    return {type(layer) for layer in inner} <= known and type(model.decoder[-1]) in OUTPUTS


class HandwrittenStep:
    """Forward and backward pass of `model`, whose parameters already have gradients to write to.

    Raises:
        ValueError: a layer is of another kind.
    """

    def __init__(self, model: MLP) -> None:
        if not can_differentiate(model):
            raise ValueError("only the fully connected VAE is written out")
        *encoder, head = model.encoder
        *decoder, last, output = model.decoder
        self._encoder, self._decoder = _hidden_layers(encoder), _hidden_layers(decoder)
        assert isinstance(head, nn.Linear) and isinstance(last, nn.Linear)
        self._head, self._last = head, last
        self._output, self._output_backward = OUTPUTS[type(output)]

    @torch.no_grad()
    def __call__(self, x: Tensor, noise: Tensor, objective: Objective, beta: float, free_bits: float) -> Result:
        """Put the gradient of the loss on `x` `(N, D)` into the parameters' `.grad`; `noise`: ε, `(N, latent_dim)`."""
        images, pixels = x.shape
        encoded = _forward(self._encoder, x)
        mu, logvar = _linear(self._head, encoded).chunk(2, dim=1)
        sigma = torch.exp(0.5 * logvar)
        z = torch.addcmul(mu, sigma, noise)
        features = _forward(self._decoder, z)
        decoded = self._output(_linear(self._last, features))

        error = decoded - x
        recon = torch.dot(error.view(-1), error.view(-1)) / images
        kl_dims = kl_per_dimension(mu, logvar).mean(dim=0)
        paid = kl_dims.clamp(min=free_bits) if free_bits else kl_dims
        loss, to_recon, to_kl = _slopes(objective, recon, paid.sum(), beta, pixels)

        to_output = self._output_backward(error.mul_(to_recon * (2 / images)), decoded)
        to_z = _backward(self._decoder, _linear_backward(self._last, to_output, features))
        # Of each dimension's KL: ∂/∂μ = μ, ∂/∂log σ² = ½(σ² - 1); a dimension under its free bits costs nothing.
        weight = to_kl / images * (kl_dims > free_bits) if free_bits else to_kl / images
        to_mu = torch.addcmul(to_z, mu, weight)
        to_logvar = (to_z * noise).mul_(sigma).add_((sigma.square() - 1).mul_(weight)).mul_(0.5)
        to_encoded = _linear_backward(self._head, torch.cat([to_mu, to_logvar], dim=1), encoded)
        _backward(self._encoder, to_encoded, to_input=False)
        return Result(loss, recon, kl_dims.sum(), decoded)


def _hidden_layers(layers: list[nn.Module]) -> list[_Hidden]:
    stack: list[_Hidden] = []
    linear: nn.Linear | None = None
    norm: nn.LayerNorm | None = None
    for layer in layers:
        if isinstance(layer, nn.Linear):
            linear, norm = layer, None
        elif isinstance(layer, nn.LayerNorm):
            norm = layer
        else:
            assert linear is not None
            stack.append(_Hidden(linear, norm, type(layer)))
    return stack


def _slopes(objective: Objective, recon: Tensor, kl: Tensor, beta: float, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """The objective and its derivatives by recon and by KL."""
    with torch.enable_grad():
        recon, kl = recon.detach().requires_grad_(), kl.detach().requires_grad_()
        loss = objective(recon, kl, beta, pixels)
        to_recon, to_kl = torch.autograd.grad(loss, (recon, kl))
    return loss.detach(), to_recon, to_kl


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return torch.addmm(layer.bias, x, layer.weight.t())


def _linear_backward(layer: nn.Linear, gradient: Tensor, x: Tensor, to_input: bool = True) -> Tensor:
    """Write the gradients of a layer's parameters; return that of its input, or `gradient` where nobody needs it."""
    torch.mm(gradient.t(), x, out=layer.weight.grad)
    torch.sum(gradient, dim=0, out=layer.bias.grad)
    return torch.mm(gradient, layer.weight) if to_input else gradient


def _forward(stack: list[_Hidden], x: Tensor) -> Tensor:
    for layer in stack:
        layer.inputs = x
        layer.linear_out = x = _linear(layer.linear, x)
        if layer.norm is not None:
            norm = layer.norm
            x, *statistics = aten.native_layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
            layer.statistics = (statistics[0], statistics[1])
        layer.normed = x
        x = ACTIVATIONS[layer.activation][0](x)
    return x


def _backward(stack: list[_Hidden], gradient: Tensor, to_input: bool = True) -> Tensor:
    """Write the gradients of a stack's parameters; return that of its input, unless the input is the images."""
    for place, layer in reversed(list(enumerate(stack))):
        assert layer.inputs is not None and layer.normed is not None
        gradient = ACTIVATIONS[layer.activation][1](gradient, layer.normed)
        if layer.norm is not None and layer.statistics is not None:
            norm = layer.norm
            assert norm.weight.grad is not None and norm.bias.grad is not None
            gradient, for_weight, for_bias = aten.native_layer_norm_backward(
                gradient, layer.linear_out, norm.normalized_shape, *layer.statistics, norm.weight, norm.bias,
                [True, True, True],
            )  # fmt: skip
            norm.weight.grad.copy_(for_weight)
            norm.bias.grad.copy_(for_bias)
        gradient = _linear_backward(layer.linear, gradient, layer.inputs, to_input or place > 0)
    return gradient
