"""All options of a run, in one table.

Every field of `RunConfig` carries its `Option`: what it means and which values it takes. Command line, form and files
are all made from, and checked by, that one table. Names are written `latent-dim` outside and `latent_dim` in Python.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from tui_vae.config.combinations import check_together
from tui_vae.config.data_options import DEFAULT_SET, SIDES, SIZE, dataset_or_path
from tui_vae.config.options import (
    Alternative,
    NotAllowed,
    Option,
    absolute_path,
    allowed_values,
    as_text,
    check_value,
    matching,
    wrong_value,
)
from tui_vae.config.presets import PRESETS
from tui_vae.config.trackers import tracker_names
from tui_vae.errors import UsageError, nearest

MOST_SHOWN = 40
"""Characters of an unknown option's name that a message shows."""

MAX_NAME = 64
"""Characters of a run's name."""

RUN_NAME = rf"(?!\.)[A-Za-z0-9._-]{{1,{MAX_NAME}}}"
DEVICE = r"auto|cpu|mps|cuda(:\d{1,3})?"
KEEP_EVERY = r"every:([1-9][0-9]{0,6})"
MODEL = r"mlp|conv|[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*"
"""Patterns of these options' texts, compiled where they are used: a quick command uses few of them."""

MAX_LR, MAX_BETA, MAX_EPOCHS, MAX_DEVICES = 10.0, 1e6, 10_000_000, 1024
"""The largest values of these options, and what a living run may be set to: far beyond what is of use."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a run was asked to do. Build it with `make_config`, which checks every value."""

    name: Annotated[
        str | None,
        Option(
            "name of the run and of its directory",
            "run",
            unset="auto",
            check=matching(RUN_NAME, f"1 to {MAX_NAME} letters, digits, '.', '_' or '-', not starting with '.'"),
        ),
    ] = None
    preset: Annotated[str, Option("named values for whatever is not given", "run", choices=tuple(PRESETS))] = "default"

    dataset: Annotated[
        str, Option("name of a known data set, or a file or folder of images", "data", check=dataset_or_path)
    ] = DEFAULT_SET
    data_dir: Annotated[
        str | None, Option("folder that holds a known set's files", "data", unset="auto", check=absolute_path)
    ] = None
    image_size: Annotated[
        int | str | None,
        Option(
            "height and width to which images are resized, one number for squares; auto: as they are",
            "data",
            minimum=SIDES[0],
            maximum=SIDES[-1],
            unset="auto",
            alternative=Alternative(SIZE, "HxW such as 32x48"),
        ),
    ] = None
    channels: Annotated[
        str, Option("1: grey; 3: colour; auto: as the images are", "data", choices=("auto", "1", "3"))
    ] = "auto"
    test_share: Annotated[
        float,
        Option(
            "share of the images that is set aside as the test set, where the source has none",
            "data",
            minimum=0,
            maximum=0.9,
            above=True,
        ),
    ] = 0.1
    train_limit: Annotated[
        int | None, Option("use only the first N training images", "data", minimum=1, unset="all")
    ] = None
    test_limit: Annotated[int | None, Option("use only the first N test images", "data", minimum=1, unset="all")] = None

    model: Annotated[
        str,
        Option(
            "mlp (fully connected), conv (convolutions before the same), or your own as module:Class",
            "model",
            check=matching(MODEL, "one of mlp, conv, or your own class as package.module:Class"),
        ),
    ] = "mlp"
    model_dir: Annotated[
        str | None,
        Option(
            "folder that your own model's module is in; auto: where the run is started",
            "model",
            unset="auto",
            check=absolute_path,
        ),
    ] = None
    hidden: Annotated[
        tuple[int, ...],
        Option("encoder's hidden widths, mirrored in the decoder, e.g. 512,256", "model", minimum=1, maximum=65536),
    ] = (512, 256)
    latent_dim: Annotated[int, Option("dimensions of the latent space", "model", minimum=1, maximum=4096)] = 32
    activation: Annotated[str, Option("activation function", "model", choices=("silu", "relu", "gelu"))] = "silu"
    norm: Annotated[
        str, Option("normalization after each hidden layer", "model", choices=("none", "layer", "batch"))
    ] = "layer"
    output: Annotated[
        str,
        Option(
            "the decoder's last function; auto: logits for bce, else tanh",
            "model",
            choices=("auto", "tanh", "sigmoid", "linear", "logits"),
        ),
    ] = "auto"

    objective: Annotated[
        str,
        Option(
            "what is minimized: sigma = ½·D·ln(recon/D) + β·KL, a Gaussian whose one variance fits best "
            "(Rybkin et al. 2021); mse = recon + β·KL (Higgins et al. 2017); bce = Σ -p·ln p̂ - (1-p)·ln(1-p̂) "
            "+ β·KL, a Bernoulli a pixel p in [0, 1] (Kingma & Welling 2014)",
            "objective",
            choices=("sigma", "mse", "bce"),
        ),
    ] = "sigma"
    beta: Annotated[
        float, Option("weight β of the KL term (β-VAE, Higgins et al. 2017)", "objective", minimum=0, maximum=MAX_BETA)
    ] = 1.0
    kl_warmup: Annotated[
        float,
        Option("epochs over which β rises linearly from 0 (Bowman et al. 2016)", "objective", minimum=0, maximum=1e6),
    ] = 0.0
    kl_cycles: Annotated[
        int,
        Option(
            "how often β rises anew in the course of the epochs, each time over kl-warmup epochs, or half a "
            "cycle where that is 0; 1: once (cyclical annealing, Fu et al. 2019)",
            "objective",
            minimum=1,
            maximum=10_000,
        ),
    ] = 1
    free_bits: Annotated[
        float,
        Option(
            "λ, the nats of KL a latent dimension may have for free: the KL is then Σ max(λ, KL of the "
            "dimension) (Kingma et al. 2016)",
            "objective",
            minimum=0,
            maximum=1e3,
        ),
    ] = 0.0
    tc_weight: Annotated[
        float,
        Option(
            "γ, adds γ·TC, the total correlation of q(z): with β = 1, γ + 1 is the β of β-TCVAE (Chen et al. 2018)",
            "objective",
            minimum=0,
            maximum=1e6,
        ),
    ] = 0.0

    epochs: Annotated[int, Option("passes over the training set", "training", minimum=1, maximum=MAX_EPOCHS)] = 10
    patience: Annotated[
        int, Option("epochs without a better test figure that end training; 0: all are done", "training", minimum=0)
    ] = 0
    best_by: Annotated[
        str,
        Option("test figure that the best weights and patience go by", "training", choices=("loss", "bits", "mse")),
    ] = "loss"
    batch_size: Annotated[int, Option("images a training step", "training", minimum=1, maximum=1_000_000)] = 512
    lr: Annotated[
        float, Option("learning rate, the highest of its schedule", "training", minimum=0, maximum=MAX_LR, above=True)
    ] = 2e-3
    optimizer: Annotated[
        str,
        Option(
            "muon: momentum made orthogonal for every matrix, Adam for biases and norms (Jordan et al. 2024); or adam "
            "for all (Kingma & Ba 2015)",
            "training",
            choices=("muon", "adam"),
        ),
    ] = "muon"
    muon_lr: Annotated[
        float,
        Option(
            "muon's learning rate for matrices, the highest of its schedule; lr is that of all others",
            "training",
            minimum=0,
            maximum=MAX_LR,
            above=True,
        ),
    ] = 0.03
    weight_decay: Annotated[
        float,
        Option("decoupled weight decay (AdamW, Loshchilov & Hutter 2019); 0: none", "training", minimum=0, maximum=10),
    ] = 0.0
    schedule: Annotated[
        str, Option("course of the learning rate", "training", choices=("one-cycle", "cosine", "constant"))
    ] = "one-cycle"
    seed: Annotated[int, Option("seed of weights, order and noise", "training", minimum=0, maximum=2**63 - 1)] = 0

    device: Annotated[
        str,
        Option("auto, cpu, cuda, cuda:N or mps", "machine", check=matching(DEVICE, "auto, cpu, cuda, cuda:N or mps")),
    ] = "auto"
    devices: Annotated[
        int | str,
        Option(
            "devices of each machine that train it together, on the same batches; auto: all its GPUs",
            "machine",
            minimum=1,
            maximum=MAX_DEVICES,
            alternative=Alternative("auto", "auto"),
        ),
    ] = 1
    threads: Annotated[int | None, Option("CPU threads", "machine", minimum=1, maximum=1024, unset="auto")] = None
    precision: Annotated[
        str, Option("precision of the matrix products", "machine", choices=("auto", "float32", "bfloat16"))
    ] = "auto"
    data_on: Annotated[
        str,
        Option(
            "where the training images lie; auto: on the device if they fit",
            "machine",
            choices=("auto", "device", "host"),
        ),
    ] = "auto"
    checkpoint_every: Annotated[
        float | None, Option("seconds between checkpoints", "machine", minimum=0, maximum=1e9, unset="auto")
    ] = None

    keep: Annotated[
        int | str,
        Option(
            "checkpoints of so many epochs, kept to go back to: the newest, and ever fewer the further back; "
            "every:K keeps those of each K-th epoch, all of them",
            "machine",
            minimum=0,
            maximum=100_000,
            alternative=Alternative(KEEP_EVERY, "every:K with K from 1"),
        ),
    ] = 0
    on_end: Annotated[str | None, Option("shell command run once after training", "machine", unset="none")] = None
    log: Annotated[
        str | None, Option("trackers, such as tensorboard,wandb", "machine", unset="none", check=tracker_names)
    ] = None

    @property
    def reports_legacy(self) -> bool:
        """Whether an epoch's figures also have those of the original notebook, as it computed them."""
        return self.preset == "seed"

    def to_dict(self) -> dict[str, Any]:
        """Every option under its outside name, None written as its word: what config.toml and the `run` event hold."""
        return {option_name(name): toml_value(name, getattr(self, name)) for name in options()}


class UnknownOption(UsageError):
    """There is no option `name`, perhaps because a newer version has written it."""

    def __init__(self, name: str, hint: str) -> None:
        self.name = name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}…"
        like = nearest(self.name.replace("_", "-"), map(option_name, options()))
        super().__init__(f"there is no option {self.name!r}{like}", hint)


@cache
def options() -> dict[str, Option]:
    """The table: Python name of each field → its `Option`, in the order in which users see them."""
    hints = get_type_hints(RunConfig, include_extras=True)
    return {field.name: get_args(hints[field.name])[1] for field in dataclasses.fields(RunConfig)}


@cache
def _kinds() -> dict[str, type]:
    """The type of each option's values, without the None of one that may be unset; `tuple` for several numbers."""
    kinds = {}
    for name, hint in get_type_hints(RunConfig).items():
        members = [member for member in (get_args(hint) or (hint,)) if member is not type(None)]
        kinds[name] = tuple if get_origin(hint) is tuple else members[0]
        if kinds[name] not in (str, int, float, tuple):
            raise TypeError(f"{name}: an option is a word, a number or several; a yes or no is one of two words")
    return kinds


def option_name(name: str) -> str:
    """`latent_dim` → `latent-dim`."""
    return name.replace("_", "-")


def field_name(name: str) -> str:
    """`latent-dim` → `latent_dim`.

    Raises:
        UnknownOption: there is no such option.
    """
    python = name.replace("-", "_")
    if python not in options():
        raise UnknownOption(name, f"options are {', '.join(map(option_name, options()))}")
    return python


def toml_value(name: str, value: Any) -> Any:
    """A value as it stands in a file: None as its word, tuples as lists."""
    if value is None:
        return options()[name].unset
    return list(value) if isinstance(value, tuple) else value


def text_of(name: str, value: Any) -> str:
    """A value as a user types it: `512,256`, `0.002`, `auto`."""
    return (options()[name].unset or "") if value is None else as_text(value)


def check_option(name: str, value: Any) -> Any:
    """The value of option `name` from what a user typed (a string) or wrote in a file (a TOML value).

    Raises:
        UsageError: it is not a value of this option; the message names the option, the value and what is allowed.
    """
    name = field_name(name)
    try:
        return check_value(options()[name], _kinds()[name], value)
    except NotAllowed as error:
        raise wrong_value(option_name(name), value, str(error)) from None


def allowed(name: str) -> str:
    """Which values an option takes, in words: its choices, or the range of its number; empty for a free text."""
    return allowed_values(options()[name], _kinds()[name])


def make_config(given: Mapping[str, Any]) -> RunConfig:
    """The whole description of a run: defaults, over them the preset's values, over them what was given.

    `given` maps option names (`latent-dim` or `latent_dim`) to typed or written values.

    Raises:
        UsageError: an unknown option, a value out of place, or values that make no sense together.
    """
    values = {field_name(name): check_option(name, value) for name, value in given.items()}
    config = RunConfig(**{**PRESETS[values.get("preset", "default")], **values})
    check_together(vars(config))
    return config


OLDER: dict[str, Any] = {"optimizer": "adam"}
"""What a recorded description means that does not say it: it is of version 0.1, which knew no other."""


def recorded_config(recorded: Mapping[str, Any]) -> RunConfig:
    """The whole description of a run as its directory records it, whatever version of tui-vae wrote it.

    `recorded` maps option names to values.

    Raises:
        UsageError: as `make_config`.
    """
    return make_config({**OLDER, **recorded})


def preset_config(preset: str) -> RunConfig:
    """The description of a run for which nothing but a preset is given.

    Raises:
        UsageError: there is no preset of this name.
    """
    return make_config({"preset": preset})
