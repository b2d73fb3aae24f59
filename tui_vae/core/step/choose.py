"""Which training step a run gets: one function, and the table that it follows.

    model and objective                device   kernels                            step           launched
    every layer has a kernel (*)       CPU      a C build that the CPU can run     CPUStep (**)   kernel by kernel
    every layer has a kernel (*)       CUDA     Triton's, which agree with         GPUStep        as a CUDA graph
                                                autograd on this device
    an own model of the user (***)     CUDA     -                                  AutogradStep   kernel by kernel
    anything else                      CUDA     -                                  AutogradStep   as a CUDA graph
    anything else                      other    -                                  AutogradStep   kernel by kernel
    on several devices: batch          any      -                                  AutogradStep   kernel by kernel
    normalization, total correlation
    on several devices: all else       any      as above                           as above       kernel by kernel

(*) `fused_step.has_kernels`: the fully connected network, and on a CPU the convolutional one, with the formula of
`beta_vae` or `sigma_vae`; where the objective is `bce`, the output must be `logits`. Where such a model has no kernels
on its device, it is "anything else". On CUDA the total correlation alone is left to autograd.
(**) `ConvCPUStep` for the convolutional network.
(***) As "anything else" where its class has `cuda_graph = True`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tui_vae.config import RunConfig
from tui_vae.core.models.conv import ConvVAE
from tui_vae.core.models.own import WrappedModel
from tui_vae.core.models.vae import VAE
from tui_vae.core.objectives import Objective
from tui_vae.core.ranks import ALONE, Ranks
from tui_vae.core.step.adam import FlatAdam
from tui_vae.core.step.autograd import AutogradStep
from tui_vae.core.step.cpu import CPUStep
from tui_vae.core.step.cpu_conv import ConvCPUStep
from tui_vae.core.step.cpu_muon import CPUMuon
from tui_vae.core.step.fused_step import FusedStep, has_kernels
from tui_vae.core.step.gpu import GPUStep
from tui_vae.core.step.gpu_muon import GPUMuon
from tui_vae.core.step.load_kernels import Kernels, load_kernels
from tui_vae.core.step.muon import Muon
from tui_vae.errors import first_line

NO_KERNELS = "steps are made of PyTorch's own kernels, which takes longer"
NO_MUON_KERNELS = "Muon's updates are made of PyTorch's own kernels, which takes longer"
NO_KERNELS_TOGETHER = "with batch normalization or a total correlation, every image of a batch depends on all others"
NO_CUDA_GRAPH = "steps are launched one by one: this model's cannot be captured in a CUDA graph"


class Step(Protocol):
    """Learns from batches of images.

    Attributes:
        sums: the figures of all steps, each times its count of images, `(4,)` on the device, since somebody zeroed it.
    """

    sums: Tensor

    def __call__(
        self, images: Tensor, generator: torch.Generator, lr: float | Tensor, beta: float | Tensor,
        count: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Do one step: forward, backward, update.

        Args:
            images: `(N, height, width)`, uint8 or float32 in [0, 1], on the model's device: this rank's share.
            generator: what the noise ε `(N, latent_dim)` is drawn from, on that device.
            lr, beta: numbers, or tensors without dimensions on that device.
            count: images of the batch on all ranks together; by default N.

        Returns:
            Means over the whole batch, `(4,)`, on that device: loss, recon, KL, and the share of pixels that are white
            with x̂ nearer to white than to grey (0 where nobody asked for it). The next step may overwrite them.
        """

    def parameters_changed(self) -> None:
        """Must be called after somebody else has written the parameters, such as those of a checkpoint."""


@dataclass(frozen=True)
class Choice:
    """The step that a run gets.

    Attributes:
        kernels: the level of the `Kernels` that the step is made of; "none" for PyTorch's own.
        as_cuda_graph: whether to capture the step in a CUDA graph.
        refusals: what makes steps slower than they might be, and why: pairs of sentences for the run's log.
    """

    step: Step
    kernels: str
    as_cuda_graph: bool
    refusals: tuple[tuple[str, str], ...]


def make_optimizer(
    config: RunConfig, model: VAE, parameters: nn.Parameter, kernels: Kernels | None = None
) -> FlatAdam | Muon:
    """The optimizer that `config` names, for the vector that the model's parameters are views of.

    kernels: what it is made of; by default the best for the device.
    """
    if config.optimizer == "adam":
        return FlatAdam(parameters, config.weight_decay)
    parts = [part for part in model.parameters() if part.requires_grad]
    kernels = load_kernels(parameters.device.type) if kernels is None else kernels
    arguments = parameters, parts, config.muon_lr / config.lr, config.weight_decay
    bfloat16, refusal = config.precision == "bfloat16", ""
    if kernels.level == "triton":
        try:
            compiled = GPUMuon(kernels.library, *arguments, bfloat16)
            compiled.compare_with_pytorch()
            return compiled
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a driver's or a compiler's, of any type: PyTorch's products work without them
            refusal = first_line(error)
    elif kernels and parameters.device.type == "cpu" and parameters.dtype == torch.float32:
        return CPUMuon(kernels, *arguments)
    usual = Muon(*arguments, bfloat16)
    usual.refusal = refusal
    return usual


def choose_step(
    config: RunConfig, model: VAE, objective: Objective, parameters: nn.Parameter, optimizer: FlatAdam | Muon,
    train_size: int, kernels: Kernels | None = None, ranks: Ranks = ALONE,
) -> Choice:  # fmt: skip
    """Make the step that the table at the top of this file gives to a run.

    Args:
        config: gives the precision and the size of a batch.
        model: on its device. parameters: the vector that its parameters are views of. optimizer: what updates it.
        train_size: images of the training set.
        kernels: by default the best for the device.
        ranks: those that share each batch.

    Raises:
        torch.OutOfMemoryError: the GPU has no memory for a step.
    """
    device = parameters.device
    kernels = load_kernels(device.type) if kernels is None else kernels
    bfloat16 = config.precision == "bfloat16"
    step: Step | None = None
    refusals: list[tuple[str, str]] = []
    if isinstance(optimizer, Muon) and optimizer.refusal:
        refusals.append((NO_MUON_KERNELS, optimizer.refusal))

    together = ranks.world > 1 and (objective.tc_weight > 0 or any(isinstance(m, _BatchNorm) for m in model.modules()))
    if has_kernels(model, objective, device.type) and together:
        refusals.append((NO_KERNELS, NO_KERNELS_TOGETHER))
    elif has_kernels(model, objective, device.type):
        arguments = model, objective, parameters, optimizer, bfloat16, train_size
        if kernels.level == "triton":
            try:
                step = GPUStep(kernels.library, *arguments, config.batch_size)
                step.compare_with_autograd()
            except torch.OutOfMemoryError:
                raise  # it says nothing about the kernels, and a resumed run should go on with those that it had
            except Exception as error:  # a driver's or a compiler's, of any type: autograd works without them
                step = None
                refusals.append((NO_KERNELS, first_line(error)))
        elif kernels:
            step = (ConvCPUStep if isinstance(model, ConvVAE) else CPUStep)(kernels, *arguments)
        elif device.type == "cuda":
            refusals.append((NO_KERNELS, kernels.reason))
    level = kernels.level if step else "none"
    if isinstance(step, FusedStep):
        step.ranks = ranks

    if step is None:
        step = AutogradStep(model, objective, parameters, optimizer, bfloat16, train_size, config.reports_legacy, ranks)

    as_cuda_graph = device.type == "cuda" and repeats_itself(model) and ranks.world == 1
    if device.type == "cuda" and ranks.world > 1:
        refusals.append((NO_CUDA_GRAPH, "devices exchange their gradients in the middle of it"))
    elif device.type == "cuda" and not as_cuda_graph:
        why = "its Python may do another thing in every step; cuda_graph = True in its class says that it does not"
        refusals.append((NO_CUDA_GRAPH, why))
    return Choice(step, level, as_cuda_graph, tuple(refusals))


def repeats_itself(model: VAE) -> bool:
    """Whether a step recorded once is every step: of our networks, and of one of the user's own that says so."""
    return not isinstance(model, WrappedModel) or model.repeats_itself
