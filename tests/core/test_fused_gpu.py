"""The GPU's training step against autograd and torch.optim. Without a GPU its kernels are interpreted, on the CPU."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

HAS_CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if HAS_CUDA else "cpu")
if not HAS_CUDA:
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported for the first time

from tests.support.steps import (  # noqa: E402
    BETA,
    IMAGES,
    IN_ALL,
    LATENT,
    LR,
    SIDE,
    assert_same,
    by_autograd,
    config,
    images,
    into,
    model,
    norms_with_kernels,
    refuse,
    run_again,
)
from tui_vae.cli.doctor import Finding, compiled  # noqa: E402
from tui_vae.core.models.build import build_model  # noqa: E402
from tui_vae.core.models.mlp import MLP  # noqa: E402
from tui_vae.core.objectives import LEAST_SQUARE, OBJECTIVES, Objective  # noqa: E402
from tui_vae.core.step import gpu as gpu_step  # noqa: E402
from tui_vae.core.step import gpu_muon  # noqa: E402
from tui_vae.core.step.adam import FlatAdam  # noqa: E402
from tui_vae.core.step.flat_parameters import flatten_parameters, part_of  # noqa: E402
from tui_vae.core.step.fused_step import ACTIVATION_NAMES, OUTPUT_NAMES, gradient_of  # noqa: E402
from tui_vae.core.step.gpu import GPUStep  # noqa: E402
from tui_vae.core.step.gpu_muon import GPUMuon  # noqa: E402
from tui_vae.core.step.load_kernels import Kernels, load_kernels  # noqa: E402
from tui_vae.core.step.muon import Muon  # noqa: E402
from tui_vae.trainer.learner import Learner  # noqa: E402

KERNELS = load_kernels("cuda")
if KERNELS:
    import triton
    from triton.runtime import interpreter
OLD_INTERPRETER = bool(KERNELS) and not HAS_CUDA and tuple(map(int, triton.__version__.split(".")[:2])) < (3, 4)
pytestmark = [
    pytest.mark.skipif(not KERNELS, reason=f"no kernels for a GPU: {KERNELS.reason}"),
    pytest.mark.skipif(OLD_INTERPRETER, reason="Triton's interpreter has no one-bit integers before Triton 3.4"),
]


@pytest.fixture(autouse=True)
def few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that one has several rows, the last one fewer, and that sums are over several of them."""
    monkeypatch.setattr(gpu_step, "PROGRAMS", 4)
    if not HAS_CUDA:
        monkeypatch.setattr(gpu_step, "BLOCK", 1 << 14)  # interpreted, one after the other
        monkeypatch.setattr(gpu_muon, "ELEMENTS", 1 << 14)
        monkeypatch.setattr(gpu_muon, "TILES", {False: 128, True: 128})
        monkeypatch.setattr(interpreter, "_convert_float", rounded(interpreter._convert_float))
        builder = type(interpreter.interpreter_builder)
        monkeypatch.setattr(builder, "create_dot", of_numbers(builder.create_dot))


def rounded(convert: Callable[..., Any]) -> Callable[..., Any]:
    """The interpreter cuts float32 off to bfloat16, where GPUs round to the nearest."""

    def to_nearest(values: Any, kind: Any, to: Any, rounding: Any) -> Any:
        if (kind, to) != (triton.language.float32, triton.language.bfloat16):
            return convert(values, kind, to, rounding)
        low = torch.from_numpy(np.array(values, np.float32)).to(torch.bfloat16)
        return low.view(torch.int16).numpy().view(np.uint16)

    return to_nearest


def of_numbers(dot: Callable[..., Any]) -> Callable[..., Any]:
    """The interpreter multiplies the bits of bfloat16 as if they were whole numbers."""

    def as_float32(tile: Any) -> Any:
        if tile.dtype != triton.language.bfloat16:
            return tile
        bits = np.ascontiguousarray(tile.data).view(np.int16)
        data = torch.from_numpy(bits).view(torch.bfloat16).float().numpy()
        return interpreter.TensorHandle(data, triton.language.float32)

    def product(builder: Any, left: Any, right: Any, sums: Any, *how: Any) -> Any:
        return dot(builder, as_float32(left), as_float32(right), sums, *how)

    return product


class OnGPU:
    """A copy of a model, which learns by the kernels from batches of up to 13 images."""

    def __init__(self, vae: MLP, objective: Objective, bfloat16: bool = False, weight_decay: float = 0.0) -> None:
        self.model = copy.deepcopy(vae).to(DEVICE)
        self.flat = flatten_parameters(self.model)
        self.optimizer = FlatAdam(self.flat, weight_decay)
        self.step = GPUStep(
            KERNELS.library, self.model, objective, self.flat, self.optimizer, bfloat16, IN_ALL, batch=13
        )
        self.noise = torch.Generator(DEVICE).manual_seed(3)

    def learn(self, batch: Tensor) -> Tensor:
        return self.step(batch.to(DEVICE), self.noise, LR, BETA).clone()


def noise_of(count: int) -> Tensor:
    """The ε of a first step."""
    noise = torch.empty(count, LATENT, device=DEVICE).normal_(generator=torch.Generator(DEVICE).manual_seed(3))
    return noise.double()


# (objective, free bits, activation, norm, output): not every combination, since the interpreter takes long for each.
COMBINATIONS = [
    ("mse", 0.0, "silu", "layer", "tanh"), ("mse", 0.01, "relu", "none", "sigmoid"),
    ("mse", 0.0, "gelu", "layer", "linear"), ("sigma", 0.01, "silu", "layer", "logits"),
    ("sigma", 0.0, "relu", "layer", "tanh"), ("sigma", 0.0, "gelu", "none", "sigmoid"),
    ("bce", 0.0, "silu", "layer", "logits"), ("bce", 0.01, "relu", "none", "logits"),
    ("sigma", 0.0, "silu", "batch", "tanh"), ("mse", 0.0, "gelu", "batch", "sigmoid"),
]  # fmt: skip


def test_every_row_of_the_tables_of_layers_is_tried() -> None:
    _, _, activations, norms, outputs = map(set, zip(*COMBINATIONS, strict=True))
    assert activations == set(ACTIVATION_NAMES.values()) and outputs == set(OUTPUT_NAMES.values())
    assert norms == {"none", *norms_with_kernels()}


@pytest.mark.parametrize(
    ("objective", "free_bits", "activation", "norm", "output", "tc_weight"),
    [*((*row, 0.0) for row in COMBINATIONS), *((*row, 6.0) for row in COMBINATIONS[3:5])],
)
def test_figures_and_gradients_are_those_of_autograd(
    objective: str, free_bits: float, activation: str, norm: str, output: str, tc_weight: float
) -> None:
    """Widths that fill no tile, every kind of layer; autograd works in float64."""
    minimized = replace(OBJECTIVES[objective], free_bits=free_bits, tc_weight=tc_weight)
    vae = model((24, 17), activation, norm, output)
    fused = OnGPU(vae, minimized)
    figures = fused.learn(images())
    exact = copy.deepcopy(vae).double().to(DEVICE)
    expected = by_autograd(exact, images().to(DEVICE), noise_of(13), minimized)
    torch.testing.assert_close(figures, torch.stack(expected).detach(), rtol=2e-6, atol=1e-5)
    expected[0].backward()
    for (title, parameter), gradient in zip(exact.named_parameters(), fused.step.gradients(), strict=True):
        assert parameter.grad is not None
        # The bias before a batch normalization has none but for rounding.
        error = (gradient - parameter.grad).abs().max() / (parameter.grad.abs().max() + 1e-9)
        assert error < 2e-5, title
    for mine, theirs in zip(fused.model.buffers(), exact.buffers(), strict=True):
        torch.testing.assert_close(mine.double(), theirs.double(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_it_learns_as_autograd_and_torchs_adam_do(weight_decay: float) -> None:
    vae, objective = model((9,)), OBJECTIVES["sigma"]
    fused = OnGPU(vae, objective, weight_decay=weight_decay)
    usual = copy.deepcopy(vae).to(DEVICE)
    kind = torch.optim.AdamW if weight_decay else torch.optim.Adam
    optimizer = kind(usual.parameters(), lr=LR, weight_decay=weight_decay)
    noise = torch.Generator(DEVICE).manual_seed(3)
    for count in (4, 13, 1):
        fused.learn(images(count))
        drawn = torch.empty(count, LATENT, device=DEVICE).normal_(generator=noise)
        loss, *_ = by_autograd(usual, images(count).to(DEVICE), drawn, objective)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for mine, theirs in zip(fused.model.parameters(), usual.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    padding = fused.flat.numel() - sum(part.numel() for part in fused.model.parameters())
    assert padding and fused.flat.count_nonzero() <= fused.flat.numel() - padding


@pytest.mark.parametrize("gradient", [1e-9, 1e-7, 1.0])
def test_a_first_update_is_that_of_the_gradients_sign_but_for_tiny_ones(gradient: float) -> None:
    fused = OnGPU(model((9,)), OBJECTIVES["mse"])
    fused.flat.data.zero_()
    assert fused.flat.grad is not None
    fused.flat.grad.fill_(-gradient)
    fused.step._update(LR)
    expected = torch.full_like(fused.flat, LR * gradient / (gradient + 1e-8))
    torch.testing.assert_close(fused.flat.detach(), expected, rtol=1e-5, atol=0)


def test_a_decoder_without_error_has_a_finite_loss_and_the_gradient_of_the_kl() -> None:
    vae, objective, batch = model(), OBJECTIVES["sigma"], torch.zeros_like(images())
    last = vae.decoder[-2]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(-20.0)  # black, to the last bit
    fused = OnGPU(vae, objective)
    figures = fused.learn(batch)
    loss, recon, kl, _ = figures.tolist()
    assert recon == 0 and loss == pytest.approx(SIDE * SIDE / 2 * math.log(LEAST_SQUARE) + BETA * kl, rel=1e-5)
    names = [name for name, _ in fused.model.named_parameters()]
    for name, gradient in zip(names, fused.step.gradients(), strict=True):
        assert bool(gradient.any()) == name.startswith("encoder"), name


def test_bfloat16_is_float32_to_its_precision() -> None:
    half, single = OnGPU(model((40,)), OBJECTIVES["sigma"], bfloat16=True), OnGPU(model((40,)), OBJECTIVES["sigma"])
    torch.testing.assert_close(half.learn(images()), single.learn(images()), rtol=0.02, atol=0)
    for low, full in zip(half.step.gradients(), single.step.gradients(), strict=True):
        assert (low - full).norm() < 0.05 * full.norm()
    for part, low in zip(half.model.parameters(), half.step.gradients(), strict=True):
        mean = half.optimizer.mean[part.storage_offset() :][: part.numel()].view_as(part)
        torch.testing.assert_close(mean, 0.1 * low.float(), rtol=1e-5, atol=0)
    assert half.step.bfloat16_copy is not None
    for part in (part for part in half.model.parameters() if part.dim() == 2):
        low = half.step.bfloat16_copy[part.storage_offset() :][: part.numel()].view_as(part)
        torch.testing.assert_close(low.float(), part.detach(), rtol=0.01, atol=0)


def learner(more: Mapping[str, object], kernels: Kernels, notes: list[str], record: Callable[..., object]) -> Learner:
    settings = config(**{"hidden": "9", "latent-dim": 3, "batch-size": 5, **more})
    return Learner(settings, build_model(settings, (28, 28)), DEVICE, warn=into(notes), record=record, kernels=kernels)  # type: ignore[arg-type]


def taught_little(each: Learner) -> Learner:
    """Learn from some small batches, enough of them to be replayed."""
    for number, batch in enumerate(IMAGES[:25].split(5)):
        each.step(batch.to(DEVICE), 1e-3 / (1 + number), 1.0 + number)
    return each


@pytest.mark.parametrize("sides", [(6, 7), pytest.param((64, 64), marks=pytest.mark.slow)])
def test_a_run_on_colours_is_that_of_pytorchs_kernels(sides: tuple[int, int]) -> None:
    settings, means = config(**{"hidden": "9", "batch-size": 5}), []
    images = torch.randint(0, 256, (5, *sides, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for kernels in (KERNELS, Kernels()):
        each = Learner(settings, build_model(settings, (3, *sides)), DEVICE, record=run_again, kernels=kernels)
        for _ in range(5):
            each.step(images.to(DEVICE), 1e-3, 1.0)
        means.append(each.take_means())
        assert each.kernels == kernels.level
    assert (means[0].loss, means[0].recon) == pytest.approx((means[1].loss, means[1].recon), rel=1e-5)


@pytest.mark.parametrize(
    "more",
    [
        {"norm": "layer"},
        {"norm": "batch"},
        {"tc-weight": 4},
        pytest.param({"optimizer": "muon"}, marks=pytest.mark.slow),
    ],
)
def test_a_run_is_that_of_pytorchs_kernels(more: Mapping[str, object]) -> None:
    compiled, plain = (learner(more, kernels, [], refuse) for kernels in (KERNELS, Kernels()))
    assert (compiled.kernels, plain.kernels) == ("triton", "none")
    mine, theirs = taught_little(compiled).take_means(), taught_little(plain).take_means()
    assert mine.images == theirs.images == 25
    assert (mine.loss, mine.recon) == pytest.approx((theirs.loss, theirs.recon), rel=1e-5)
    assert mine.kl == pytest.approx(theirs.kl, rel=1e-4)


def test_a_replayed_step_is_the_step() -> None:
    more = {"precision": "bfloat16", "norm": "batch", "tc-weight": 4}
    steps = [learner(more, KERNELS, [], record) for record in (refuse, run_again)]
    assert_same(*map(taught_little, steps))


def with_broken(name: str, error: Exception | None) -> types.SimpleNamespace:
    """The kernels, one of which does nothing but raise `error`."""

    class Broken:
        def __getitem__(self, grid: object) -> Callable[..., None]:
            if error:
                raise error
            return lambda *_, **__: None

    return types.SimpleNamespace(**{**vars(KERNELS.library), name: Broken()})


NO_COMPILER = OSError("no C compiler\nand many more lines")


@pytest.mark.parametrize("broken", ["add_up", "adam", "latent_backward"])
@pytest.mark.parametrize("error", [None, NO_COMPILER])
def test_kernels_that_fail_or_are_wrong_are_found_out_and_done_without(broken: str, error: Exception | None) -> None:
    """A driver too old, a compiler that is missing, one with an error: training goes on as without them."""
    notes: list[str] = []
    found = learner({}, Kernels("triton", library=with_broken(broken, error)), notes, run_again)
    assert found.kernels == "none" and len(notes) == 1 and "PyTorch's own kernels" in notes[0]
    assert notes[0].endswith("no C compiler") if error else "away from autograd's" in notes[0]
    plain = learner({}, Kernels(), [], run_again)
    assert_same(taught_little(found), taught_little(plain))


@pytest.mark.parametrize("error", [None, pytest.param(NO_COMPILER, marks=pytest.mark.slow)])
def test_a_muon_of_kernels_that_fail_or_are_wrong_is_done_without(error: Exception | None) -> None:
    notes: list[str] = []
    library = with_broken("muon_multiply", error)
    found = learner({"optimizer": "muon"}, Kernels("triton", library=library), notes, run_again)
    assert found.kernels == "triton" and len(notes) == 1 and notes[0].startswith("Muon's updates are made of PyTorch's")
    assert notes[0].endswith("no C compiler") if error else "away from PyTorch's" in notes[0]


@pytest.mark.parametrize(("bfloat16", "far"), [pytest.param(False, 1e-4, marks=pytest.mark.slow), (True, 0.02)])
def test_muons_update_is_that_of_float32(bfloat16: bool, far: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of wide, tall, odd and zero matrices in one or several blocks, and of vectors; also the copy in bfloat16."""
    monkeypatch.setattr(gpu_muon, "TILES", {bfloat16: 16})
    shapes = [(35, 24), (18, 40), (3, 3, 5, 5), (1, 5), (8, 8), (12,)]
    copies, zeros = [], 4
    for _ in range(2):
        torch.manual_seed(0)
        module = nn.ParameterList([nn.Parameter(torch.randn(shape)) for shape in shapes]).to(DEVICE)
        copies.append((flatten_parameters(module), list(module)))
    (flat, parts), (usual_flat, usual_parts) = copies
    muon = GPUMuon(KERNELS.library, flat, parts, 20.0, 0.1, bfloat16, block=18)
    usual = Muon(usual_flat, usual_parts, 20.0, 0.1, block=18)
    copy = flat.detach().to(torch.bfloat16) if bfloat16 else None
    for _ in range(3):
        before = usual_flat.detach().clone()
        flat.data.copy_(before)
        for number, (part, other) in enumerate(zip(parts, usual_parts, strict=True)):
            gradient = torch.zeros(part.shape) if number == zeros else torch.randn(part.shape)
            for each in (part, other):
                gradient_of(each).copy_(gradient)
        of_matrices = gradient_of(flat).to(torch.bfloat16) if bfloat16 else None
        muon.step(1e-3, of_matrices, copy)
        usual.step(torch.tensor(1e-3, device=DEVICE), of_matrices)
        for part, other in zip(parts, usual_parts, strict=True):
            change, expected = (each.detach() - part_of(before, each) for each in (part, other))
            assert (change - expected).norm() <= far * expected.norm() + 1e-7
            if copy is not None and part.dim() > 1:
                assert torch.equal(part_of(copy, part), part.to(torch.bfloat16))
    assert torch.allclose(muon.mean, usual.mean, rtol=1e-5, atol=1e-6) and muon.step_count == 3
    assert torch.allclose(muon.square, usual.square, rtol=1e-5, atol=1e-7)


def test_a_device_without_memory_says_nothing_of_its_kernels() -> None:
    library = with_broken("adam", torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        learner({}, Kernels("triton", library=library), [], run_again)


def test_doctor_tells_kernels_that_can_be_compiled_from_those_that_cannot() -> None:
    finding = Finding("GPU kernels", True, "triton")
    assert compiled(finding, KERNELS.library, DEVICE) == finding
    bad = compiled(finding, with_broken("normalize", NO_COMPILER), DEVICE)  # type: ignore[arg-type]
    assert (bad.ok, bad.found) == (False, "none: no C compiler") and "gcc" in bad.hint


def test_a_network_of_relus_keeps_its_kernels_in_bfloat16() -> None:
    """Where rounding alone changes the sign of so many values that float32's gradients are a fifth away."""
    more: dict[str, object] = {"hidden": "64,64,64,64", "norm": "batch", "activation": "relu", "precision": "bfloat16"}
    if HAS_CUDA:
        more["batch-size"] = 64  # a GPU adds up in another order than autograd's, which five images are too few for
    notes: list[str] = []
    found = learner(more, KERNELS, notes, refuse)
    assert not notes, notes[0]
    assert found.kernels == "triton"


def test_what_has_no_kernels_is_left_to_autograd() -> None:
    vae = model((gpu_step.WIDEST + 1,))
    flat = flatten_parameters(vae)
    with pytest.raises(ValueError, match="layers this wide"):
        GPUStep(KERNELS.library, vae, OBJECTIVES["mse"], flat, FlatAdam(flat), False, IN_ALL, 4)
    small = OnGPU(model((9,)), OBJECTIVES["mse"])
    with pytest.raises(ValueError, match="room for 13"):
        small.learn(torch.zeros(14, SIDE, SIDE, dtype=torch.uint8))


@pytest.mark.long
def test_the_kernels_compile_without_a_gpu(tmp_path: Path) -> None:
    """For compute capability 9.0; what the interpreter runs, the compiler may still refuse."""
    script = Path(__file__).parents[2] / "scripts" / "compile_gpu_kernels.py"
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run([sys.executable, script, "90"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sizes = [int(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(sizes) == 39 and min(sizes) > 1000
