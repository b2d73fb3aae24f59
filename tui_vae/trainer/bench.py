"""The candidates of `tui-vae bench`, each in a process of its own: `python -m tui_vae.trainer.bench CANDIDATE OPTIONS`.

A candidate warms up and prints a JSON line about itself. Then, for each line on stdin, it trains for that many seconds
and prints its images a second. All train the network of one configuration on the same images.
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tui_vae.config import RunConfig, make_config
from tui_vae.core.data.datasets import Images
from tui_vae.core.devices import device_name
from tui_vae.core.models.build import build_model
from tui_vae.core.models.vae import sample_posterior
from tui_vae.core.objectives import make_objective
from tui_vae.core.seeds import epoch_order
from tui_vae.core.step.cuda_graph import record_cuda_graph
from tui_vae.errors import UserError
from tui_vae.trainer.batches import batches
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.run_setup import LoadedRun, load_data, load_data_and_model, resolve_machine_options

REPORT_EVERY = 0.1
"""Seconds between two readings of the step's figures, as in a training run."""

WARM_UP = 1.0
"""Seconds of training before the first measured round."""


@dataclass(frozen=True)
class Candidate:
    """A way to train.

    step: train on the next batch; gives the number of its images.
    finish: wait until the device has done all steps.
    kernels: what the steps are made of, a level of `step.kernels`.
    """

    step: Callable[[], int]
    finish: Callable[[], object] = lambda: None
    kernels: str = "none"

    def train(self, seconds: float) -> float:
        """Train for so long. Gives images a second."""
        images, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            images += self.step()
        self.finish()
        return images / (time.perf_counter() - start)


def ours(config: RunConfig) -> Candidate:
    """This trainer's own step on its own threads and precision; its figures are read every `REPORT_EVERY` seconds."""
    run = load_data_and_model(config, to_train=True)
    learner = Learner(config, run.model, run.device, train_size=len(run.train), warn=_warn)
    reported = time.perf_counter()

    def endless() -> Iterator[Tensor]:
        """Batches `(N, height, width)` of epoch after epoch."""
        for epoch in itertools.count():
            order = epoch_order(config.seed, epoch, len(run.train))
            yield from batches(run.train, order, config.batch_size, run.device, run.read_ahead)

    stream = endless()

    def step() -> int:
        nonlocal reported
        batch = next(stream)
        learner.step(batch, config.lr, config.beta)
        if time.perf_counter() - reported >= REPORT_EVERY:
            learner.take_means()
            reported = time.perf_counter()
        return len(batch)

    return Candidate(step, learner.take_means, learner.kernels)


def _warn(what: str, why: str) -> None:
    print(f"{what} ({why})", file=sys.stderr)


class TransformedImages(Dataset[Tensor]):
    """Images `(N, height, width)` as torchvision's datasets give them: PIL images, transformed one by one.

    An item is float32 `(1, height, width)` in [-1, 1]. PIL takes bytes as mode `L`, which `ToTensor` divides by 255,
    and floats as mode `F`, which it leaves as they are.
    """

    def __init__(self, images: Images) -> None:
        from torchvision import transforms

        self._images = images
        self._transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        """The transformed image, `(1, height, width)`."""
        from PIL import Image

        image: Tensor = self._transform(Image.fromarray(self._images[index]))
        return image


def ordinary_step(
    config: RunConfig, run: LoadedRun, optimizer: torch.optim.Optimizer
) -> Callable[[Tensor], float]:  # fmt: skip
    """What people write for a step on images `(N, 1, height, width)` in [-1, 1]; it gives the loss."""
    model, objective = run.model, make_objective(config)

    def step(images: Tensor) -> float:
        x = images.to(run.device).flatten(1)
        mu, logvar = model.encode(x)
        z = sample_posterior(mu, logvar)
        _, distortion = objective.decode(model, z, x)
        loss = objective.loss(distortion, z, mu, logvar, config.beta, model.pixels, len(run.train))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def ordinary(config: RunConfig, workers: int) -> Candidate:
    """The usual loop: DataLoader, transforms of single images, Adam, `loss.item()` each step, PyTorch's own threads."""
    threads = torch.get_num_threads()
    run = load_data_and_model(config)
    torch.set_num_threads(threads)
    optimizer = torch.optim.Adam(run.model.train().parameters(), lr=config.lr)
    learn = ordinary_step(config, run, optimizer)
    loader = DataLoader(TransformedImages(run.dataset.train_images), batch_size=config.batch_size, shuffle=True,
                        num_workers=workers, persistent_workers=workers > 0)  # fmt: skip
    stream = itertools.chain.from_iterable(itertools.repeat(loader))
    total = 0.0

    def step() -> int:
        nonlocal total
        images = next(stream)
        total += learn(images)
        return len(images)

    return Candidate(step)


@torch.no_grad()
def products(config: RunConfig) -> Candidate:
    """Nothing but PyTorch's matrix products of the network's linear layers on batches of the data's own shape.

    Each layer has its product forward and the two of its gradients. On CUDA all are one graph.
    """
    device = torch.device(config.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.set_num_threads(config.threads or 1)
    dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    shape = load_data(replace(config, train_limit=1, test_limit=1)).shape
    layers = [layer for layer in build_model(config, shape).modules() if isinstance(layer, nn.Linear)]
    size = config.batch_size

    def random(*shape: int) -> Tensor:
        """Normal numbers of this shape, in the precision of the products."""
        return torch.randn(shape, device=device, dtype=dtype)

    shapes = [(layer.in_features, layer.out_features) for layer in layers]
    arrays = [(random(size, inner), random(outer, inner), random(size, outer)) for inner, outer in shapes]
    out = [(torch.empty_like(g), torch.empty_like(w), torch.empty_like(x)) for x, w, g in arrays]

    def multiply() -> None:
        for index, ((x, weight, gradient), (forward, for_weight, for_input)) in enumerate(
            zip(arrays, out, strict=True)
        ):
            torch.mm(x, weight.T, out=forward)
            torch.mm(gradient.T, x, out=for_weight)
            if index:  # training needs no gradient of the images
                torch.mm(gradient, weight, out=for_input)

    multiply()
    run_products: Callable[[], None] = multiply
    if device.type == "cuda":
        with torch.cuda.stream(torch.cuda.Stream(device)):
            run_products = record_cuda_graph(multiply, torch.Generator(device))

    @torch.no_grad()
    def step() -> int:
        run_products()
        return size

    return Candidate(step, torch.cuda.synchronize if device.type == "cuda" else lambda: None)


CANDIDATES: dict[str, Callable[[RunConfig], Candidate]] = {
    "ours": ours,
    "ordinary": lambda config: ordinary(config, workers=0),
    "ordinary-2-workers": lambda config: ordinary(config, workers=2),
    "products": products,
}
"""What is compared, by the names in the results: `ours` first, the bare products last."""


def main() -> int:
    try:
        return _serve(sys.argv[1], json.loads(sys.argv[2]))
    except UserError as error:
        _print_json({"error": error.message, "hint": error.hint})
        return 1


def _serve(name: str, options: dict[str, Any]) -> int:
    config = resolve_machine_options(replace(make_config(options), name=None))
    candidate = CANDIDATES[name](config)
    candidate.train(WARM_UP)
    device = torch.device(config.device)
    _print_json({
        "kernels": candidate.kernels, "device": config.device, "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "precision": "float32" if name.startswith("ordinary") else config.precision,
    })  # fmt: skip
    for line in sys.stdin:
        rate = candidate.train(float(line))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
        on_device = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
        _print_json({"images_per_s": rate, "memory_bytes": peak, "device_memory_bytes": on_device})
    return 0


def _print_json(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
