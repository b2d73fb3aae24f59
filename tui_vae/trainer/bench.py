"""The contenders of `tui-vae bench`, each in a process of its own: `python -m tui_vae.trainer.bench CONTENDER …`.

A contender warms up and prints a JSON line about itself; then, for every line on stdin, it trains for so many seconds
and prints its images a second. All train the network of one configuration on the same images.
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from tui_vae.config import RunConfig, make_config
from tui_vae.core.devices import device_name
from tui_vae.core.models.build import build_model
from tui_vae.core.models.vae import sample_posterior
from tui_vae.core.objectives import make_objective
from tui_vae.core.seeds import epoch_order
from tui_vae.core.step.cuda_graph import cuda_graph
from tui_vae.trainer.batches import batches
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.run_setup import load_data_and_model, resolve_machine_options

REPORT_EVERY = 0.1
WARM_UP = 1.0
Train = Callable[[float], float]


def ours(config: RunConfig, facts: dict[str, object]) -> Train:
    """This trainer's own step, its figures read ten times a second, on its settled threads and precision."""
    run = load_data_and_model(config)
    learner = Learner(config, run.model, run.device, images=len(run.train), warn=_warn)
    facts["kernels"] = learner.kernels
    size = config.batch_size

    def endless() -> Iterator[Tensor]:
        for epoch in itertools.count():
            yield from batches(run.train, epoch_order(config.seed, epoch, len(run.train)), size, run.device)

    stream = endless()

    def train(seconds: float) -> float:
        images, start = 0, time.perf_counter()
        reported = start
        while (now := time.perf_counter()) - start < seconds:
            batch = next(stream)
            learner.step(batch, config.lr, config.beta)
            images += len(batch)
            if now - reported >= REPORT_EVERY:
                learner.take_means()
                reported = now
        learner.take_means()
        return images / (time.perf_counter() - start)

    return train


def _warn(what: str, why: str) -> None:
    print(f"{what} ({why})", file=sys.stderr)


def ordinary(config: RunConfig, workers: int) -> Train:
    """The usual way: DataLoader, transforms of images, Adam, `loss.item()` each step, PyTorch's default threads."""
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    threads = torch.get_num_threads()
    run = load_data_and_model(config)
    torch.set_num_threads(threads)

    class Images(Dataset[Tensor]):
        """As torchvision.datasets.FashionMNIST hands them out."""

        transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])

        def __len__(self) -> int:
            return len(run.dataset.train_images)

        def __getitem__(self, index: int) -> Tensor:
            image: Tensor = self.transform(Image.fromarray(run.dataset.train_images[index], mode="L"))
            return image

    model = run.model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
    loader = DataLoader(Images(), batch_size=config.batch_size, shuffle=True, num_workers=workers,
                        persistent_workers=workers > 0)  # fmt: skip
    objective = make_objective(config)
    stream = itertools.chain.from_iterable(itertools.repeat(loader))

    def train(seconds: float) -> float:
        images, total, start = 0, 0.0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            x = next(stream).to(run.device).flatten(1)
            mu, logvar = model.encode(x)
            z = sample_posterior(mu, logvar)
            _, distortion = objective.decode(model, z, x)
            loss = objective.loss(distortion, z, mu, logvar, config.beta, model.pixels, len(run.train))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            images += len(x)
        return images / (time.perf_counter() - start)

    return train


def products(config: RunConfig) -> Train:
    """The limit: nothing but the matrix products of the same shapes, forward and backward; on CUDA as one graph."""
    device = torch.device(config.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.set_num_threads(config.threads or 1)
    dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    layers = [layer for layer in build_model(config, (28, 28)).modules() if isinstance(layer, nn.Linear)]
    size = config.batch_size

    def random(*shape: int) -> Tensor:
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
            if index:  # nobody asks for the image's gradient
                torch.mm(gradient, weight, out=for_input)

    multiply()
    step: Callable[[], None] = multiply
    if device.type == "cuda":
        with torch.cuda.stream(torch.cuda.Stream(device)):
            step = cuda_graph(multiply, torch.Generator(device))

    def train(seconds: float) -> float:
        images, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            step()
            images += size
        if device.type == "cuda":
            torch.cuda.synchronize()
        return images / (time.perf_counter() - start)

    return train


def main() -> int:
    name, options = sys.argv[1], json.loads(sys.argv[2])
    config = resolve_machine_options(replace(make_config(options), name=None))
    facts: dict[str, object] = {"kernels": "none"}
    with torch.no_grad() if name == "products" else torch.enable_grad():
        train = {
            "ours": lambda: ours(config, facts),
            "ordinary": lambda: ordinary(config, workers=0),
            "ordinary-2-workers": lambda: ordinary(config, workers=2),
            "products": lambda: products(config),
        }[name]()
        train(WARM_UP)
        device = torch.device(config.device)
        facts |= {"device": config.device, "device_name": device_name(device), "threads": torch.get_num_threads(),
                  "precision": "float32" if name.startswith("ordinary") else config.precision}  # fmt: skip
        print(json.dumps(facts), flush=True)
        for line in sys.stdin:
            rate = train(float(line))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            on_device = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
            answer = {"images_per_s": rate, "memory_bytes": peak, "device_memory_bytes": on_device}
            print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
