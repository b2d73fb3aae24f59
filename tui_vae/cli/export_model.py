"""A run's weights as other programs take them: a plain safetensors file, and a model card for a hub."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from tui_vae.cli.report_page import in_markdown
from tui_vae.config import train_options
from tui_vae.config.end_command import without_command
from tui_vae.runs import advice
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.runs.steering import read_steering
from tui_vae.runs.trust import check_code

if TYPE_CHECKING:
    from tui_vae.trainer.trained_run import TrainedNetwork

KNOWN = {"fashion-mnist": "zalando-datasets/fashion_mnist", "mnist": "ylecun/mnist"}
"""How a hub calls data sets, in a card's first lines."""

TASK = "unconditional-image-generation"


def model_safetensors(directory: RunDirectory, which: str | None = None) -> bytes:
    """The network's parameters and buffers by their names in `state_dict()`, with the run's options as metadata.

    Raises:
        UserError: the checkpoint cannot be loaded.
    """
    check_code(directory, which)  # before PyTorch takes its seconds
    from tui_vae.trainer.checkpoints import plain_file
    from tui_vae.trainer.trained_run import load_trained_network

    network = load_trained_network(directory, which)
    return plain_file(dict(network.model.state_dict()), facts_of(directory, network))


def facts_of(directory: RunDirectory, network: TrainedNetwork) -> dict[str, str]:
    """What a file of weights says of them: enough to build the network again; as JSON what is no text."""
    return {
        "format": "pt", "run": directory.name, "dataset": network.dataset, "epoch": str(network.progress.evaluated),
        "step": str(network.progress.step), "shape": json.dumps(network.shape),
        "config": json.dumps(without_command(network.progress.config)),
    }  # fmt: skip


CARD = """\
---
library_name: pytorch
pipeline_tag: {task}
tags: [variational-autoencoder, tui-vae]
{front}---

# {name}

A variational autoencoder (`{config.model}`) of {dataset}, trained by tui-vae.

| | |
| --- | --- |
{facts}

{figures}## Load

{load}
`encode(x)` → μ, log σ² and `decode(z)` → x̂, for x of shape (N, D) in [-1, 1]: an image's pixels one after the other.

## Train it again

```sh
{command}
```
{steered}
## Licence

That of the weights is yours to choose: put it into the lines at the top as `license:`.
"""

LOAD = """\
```python
from safetensors.torch import load_file
weights = load_file("model.safetensors")  # the network's state_dict
```

or, with the run's directory, `from tui_vae import load_run; load_run("{name}").model()`:
"""
"""How to load the weights of `--what model`, which lie beside the card."""

FIGURES = (
    ("elbo_bpd", "negative ELBO, bits a pixel"),
    ("mse", "mse at z = μ, a pixel on [0, 1]"),
    ("kl", "KL, nats an image"),
    ("recon", "Σ squared error of an image on [-1, 1], z sampled"),
    ("active_units", "active units"),
)
"""What the card tells of an epoch, in the words of docs/figures.md."""


def card_md(directory: RunDirectory, load: str | None = None, epoch: int | None = None) -> bytes:
    """A README.md in the layout of a hub's model card: the data, the recipe, the figures, how to load the weights.

    `load`: the words about that, in Markdown; by default those for weights that lie beside the card. `epoch`: whose
    figures, by default the last one's.

    Raises:
        UserError: config.toml cannot be read.
    """
    history, config = read_history(directory.events), directory.read_config()
    run, shown = history.run, [each for each in history.epochs if epoch in (None, each.epoch)]
    last = shown[-1] if shown else None
    dataset, facts, figures = config.dataset, [f"| latent dimensions | {config.latent_dim} |"], ""
    if run is not None:
        dataset, shape = run.dataset.name, " × ".join(map(str, run.dataset.shape or (1, 28, 28)))
        facts += [
            f"| images | {run.dataset.train:,} for training, {run.dataset.test:,} test; {shape} |",
            f"| parameters | {run.parameters:,} |",
            f"| trained on | {run.device_name or run.device}, {run.precision} |",
        ]
    if last is not None:
        rows = [
            f"| {words} | {_figure(getattr(last.train, name))} | {_figure(getattr(last.test, name))} |"
            for name, words in FIGURES
        ]
        head = (
            f"## Figures after epoch {last.epoch}\n\n| | of training images | of test images |\n| --- | --- | --- |\n"
        )
        figures = head + "\n".join(rows) + "\n\n"
    changes = "; ".join(map(str, read_steering(directory)))
    words = ["tui-vae", "train", *train_options(replace(config, on_end=None))]  # which may hold a secret
    return CARD.format(
        front=_front(directory.name, dataset, last), task=TASK, load=load or LOAD.format(name=directory.name),
        name=directory.name, config=config, dataset=in_markdown(dataset), facts="\n".join(facts), figures=figures,
        command=" ".join(map(advice.quoted, words)),
        steered=f"\nIt was steered meanwhile: {changes}.\n" if changes else "",
    ).encode()  # fmt: skip


def _front(name: str, dataset: str, last: ev.EpochEvent | None) -> str:
    """The lines of a card that the hub itself reads: its name of the data, and the figures of the test set. YAML takes
    JSON, in which any name of data is safe."""
    known = KNOWN.get(dataset)
    lines = [f"datasets: [{known}]"] if known else []
    if last is not None:
        values = {field: getattr(last.test, field) for field, _ in FIGURES}
        metrics = [{"type": field, "name": words, "value": values[field]} for field, words in FIGURES
                   if values[field] is not None and math.isfinite(values[field])]  # fmt: skip
        result = {"task": {"type": TASK}, "dataset": {"type": known or dataset, "name": dataset, "split": "test"},
                  "metrics": metrics}  # fmt: skip
        lines.append(f"model-index: {json.dumps([{'name': name, 'results': [result]}], ensure_ascii=False)}")
    return "".join(f"{line}\n" for line in lines)


def _figure(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "—"
    return str(value) if isinstance(value, int) else f"{value:.4g}"
