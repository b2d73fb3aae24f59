"""A run as a folder for a model hub: a card, the weights, and what is needed to build the network for them again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tui_vae.api.hub import CARD, OPTIONS, WEIGHTS
from tui_vae.cli.export_model import card_md, facts_of
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.trust import check_code

if TYPE_CHECKING:
    from tui_vae.trainer.trained_run import TrainedNetwork

OF_THIS_MACHINE = ("data-dir", "model-dir")
"""Options that are places on this machine, which nobody else has."""

LOAD = f"""\
```python
from tui_vae import load_model
model = load_model(".")  # this folder: {OPTIONS} and {WEIGHTS}
```

gives the network as a `torch.nn.Module` in evaluation mode:
"""

LOAD_OWN = """\
The network is a class of the author's own, `{name}` in `{file}`:

```python
import json
from safetensors.torch import load_file
from tui_vae.config import recorded_config
from {module} import {name}
about = json.load(open("{options}"))
model = {name}(tuple(about["own_shape"]), recorded_config(about["config"])).eval()
model.load_state_dict(load_file("{weights}"))
```

Of images `(N, C, height, width)` in place of flat ones:
"""

OWN = "own."
"""Before the names of the weights of somebody's own network, which a run wraps."""


def hub_files(directory: RunDirectory, which: str | None = None) -> dict[str, bytes]:
    """The files of the folder by their names.

    Raises:
        UserError: as `model_safetensors` and `card_md`.
    """
    check_code(directory, which)  # before PyTorch takes its seconds
    from tui_vae.trainer.checkpoints import plain_file
    from tui_vae.trainer.trained_run import load_trained_network

    network = load_trained_network(directory, which)
    facts = {**facts_of(directory, network), "config": json.dumps(_options(network))}
    weights = {name.removeprefix(OWN): tensor for name, tensor in network.model.state_dict().items()}
    return {
        CARD: card_md(directory, _load(str(network.progress.config["model"])), network.progress.evaluated),
        WEIGHTS: plain_file(weights, facts),
        OPTIONS: f"{json.dumps(_about(directory, network), indent=2)}\n".encode(),
    }


def _load(model: str) -> str:
    """How to load the network called `model`."""
    module, _, name = model.partition(":")
    file = f"{module.replace('.', '/')}.py"
    return LOAD_OWN.format(module=module, name=name, file=file, options=OPTIONS, weights=WEIGHTS) if name else LOAD


def _options(network: TrainedNetwork) -> dict[str, Any]:
    recorded = network.progress.config
    return {name: value for name, value in recorded.items() if name not in (*OF_THIS_MACHINE, "on-end")}


def _about(directory: RunDirectory, network: TrainedNetwork) -> dict[str, Any]:
    channels, *size = network.shape
    return {
        "model_type": "tui-vae",
        "run": directory.name,
        "dataset": network.dataset,
        "epoch": network.progress.evaluated,
        "step": network.progress.step,
        "shape": list(network.shape),
        "own_shape": size if channels == 1 else list(network.shape),
        "config": _options(network),
    }
