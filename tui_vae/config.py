"""The one validated description of a run, behind the command line, the form, `--config FILE` and `config.toml` alike.

Every field of `RunConfig` carries its `Option`: what it means and which values it takes. Command line, form and files
are all made from, and checked by, that one table. Names are written `latent-dim` outside and `latent_dim` in Python.
"""

from __future__ import annotations

import dataclasses
import math
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from tui_vae.errors import UsageError

RUN_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")
MODEL = re.compile(r"mlp|conv|[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
WIDTHS = "whole numbers with commas between them, such as 512,256"
MOST_SHOWN = 60
"""Characters of a wrong value that are told."""

Wrong = Callable[[str], UsageError]
"""What is to be raised of a value, from what it must be."""


@dataclass(frozen=True)
class Option:
    """What a field means and which values it takes.

    `unset` is the word that stands for "not given" (Python's None). `minimum` itself is allowed unless `above` is set.
    """

    help: str
    group: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: bool = False
    unset: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a run was asked to do. Build it with `make_config`, which checks every value."""

    name: Annotated[str | None, Option("name of the run and of its directory", "run", unset="auto")] = None
    preset: Annotated[
        str,
        Option(
            "recipe that fills in whatever is not given",
            "run",
            choices=("default", "seed", "best", "pytorch-examples", "jackson-kang"),
        ),
    ] = "default"

    dataset: Annotated[str, Option("dataset to train on", "data", choices=("fashion-mnist",))] = "fashion-mnist"
    data_dir: Annotated[str | None, Option("folder that holds the dataset's idx files", "data", unset="auto")] = None
    train_limit: Annotated[
        int | None, Option("use only the first N training images", "data", minimum=1, unset="all")
    ] = None
    test_limit: Annotated[int | None, Option("use only the first N test images", "data", minimum=1, unset="all")] = None

    model: Annotated[
        str, Option("mlp (fully connected), conv (convolutions before the same), or your own as module:Class", "model")
    ] = "mlp"
    model_dir: Annotated[
        str | None,
        Option("folder that your own model's module is in; auto: where the run is started", "model", unset="auto"),
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
        float, Option("weight β of the KL term (β-VAE, Higgins et al. 2017)", "objective", minimum=0, maximum=1e6)
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

    epochs: Annotated[int, Option("passes over the training set", "training", minimum=1, maximum=10_000_000)] = 10
    batch_size: Annotated[int, Option("images a training step", "training", minimum=1, maximum=1_000_000)] = 256
    lr: Annotated[
        float, Option("learning rate, the highest of its schedule", "training", minimum=0, maximum=10, above=True)
    ] = 2e-3
    weight_decay: Annotated[
        float,
        Option(
            "decoupled weight decay (AdamW, Loshchilov & Hutter 2019); 0: plain Adam", "training", minimum=0, maximum=10
        ),
    ] = 0.0
    schedule: Annotated[
        str, Option("course of the learning rate", "training", choices=("one-cycle", "cosine", "constant"))
    ] = "one-cycle"
    seed: Annotated[int, Option("seed of weights, order and noise", "training", minimum=0, maximum=2**63 - 1)] = 0

    device: Annotated[str, Option("auto, cpu, cuda, cuda:N or mps", "machine")] = "auto"
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

    def to_dict(self) -> dict[str, Any]:
        """Every option under its outside name, None written as its word: what config.toml and the `run` event hold."""
        return {outside(name): written(name, getattr(self, name)) for name in options()}


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # The original notebook: sigmoid output against targets in [-1, 1], and the KL weighted by one half.
    "seed": {
        "hidden": (256,), "latent_dim": 20, "activation": "relu", "norm": "none", "output": "sigmoid",
        "objective": "mse", "beta": 0.5, "batch_size": 128, "lr": 1e-3, "schedule": "constant",
    },
    "best": {"hidden": (1024, 512), "latent_dim": 64, "norm": "batch", "weight_decay": 0.1, "epochs": 50},
    # https://github.com/pytorch/examples/blob/main/vae/main.py
    "pytorch-examples": {
        "hidden": (400,), "latent_dim": 20, "activation": "relu", "norm": "none",
        "objective": "bce", "batch_size": 128, "lr": 1e-3, "schedule": "constant",
    },
    # https://github.com/Jackson-Kang/Pytorch-VAE-tutorial, 01_Variational_AutoEncoder.ipynb; its ReLU is a leaky one
    "jackson-kang": {
        "hidden": (400, 400), "latent_dim": 200, "activation": "relu", "norm": "none",
        "objective": "bce", "batch_size": 100, "lr": 1e-3, "schedule": "constant", "epochs": 30,
    },
}  # fmt: skip


@cache
def options() -> dict[str, Option]:
    """The table: Python name of each field → its `Option`, in the order in which users see them."""
    hints = get_type_hints(RunConfig, include_extras=True)
    return {field.name: get_args(hints[field.name])[1] for field in dataclasses.fields(RunConfig)}


@cache
def _types() -> dict[str, Any]:
    hints = get_type_hints(RunConfig)
    return {field.name: hints[field.name] for field in dataclasses.fields(RunConfig)}


def _plain_type(name: str) -> Any:
    """The type of an option's values, without the None of one that may be unset."""
    kind = _types()[name]
    return next(member for member in (get_args(kind) or (kind,)) if member is not type(None))


def outside(name: str) -> str:
    """`latent_dim` → `latent-dim`."""
    return name.replace("_", "-")


def inside(name: str) -> str:
    """`latent-dim` → `latent_dim`.

    Raises:
        UsageError: there is no such option.
    """
    python = name.replace("-", "_")
    if python not in options():
        raise UsageError(f"there is no option {name!r}", f"options are {', '.join(map(outside, options()))}")
    return python


def written(name: str, value: Any) -> Any:
    """A value as it stands in a file: None as its word, tuples as lists."""
    if value is None:
        return options()[name].unset
    return list(value) if isinstance(value, tuple) else value


def text_of(name: str, value: Any) -> str:
    """A value as a user types it: `512,256`, `0.002`, `auto`."""
    if value is None:
        return options()[name].unset or ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def check_option(name: str, value: Any) -> Any:
    """The value of option `name` from what a user typed (a string) or wrote in a file (a TOML value).

    Raises:
        UsageError: it is not a value of this option; the message names the option, the value and what is allowed.
    """
    name = inside(name)
    option, kind = options()[name], _types()[name]
    wrong = _wrong(name, value)
    if option.unset is not None and value in (None, option.unset, ""):
        return None
    if option.choices:
        if value not in option.choices:
            raise wrong(f"one of {', '.join(option.choices)}")
        return value
    if get_origin(kind) is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple)) or not parts:
            raise wrong(WIDTHS)
        return tuple(_number(part, int, option, wrong) for part in parts)
    plain = _plain_type(name)
    if plain in (int, float):
        return _number(value, plain, option, wrong)
    if not isinstance(value, str) or not value.strip():
        raise wrong("a word")
    if name == "name" and not RUN_NAME.fullmatch(value):
        raise wrong("1 to 64 letters, digits, '.', '_' or '-', not starting with '.'")
    if name == "device" and not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", value):
        raise wrong("auto, cpu, cuda, cuda:N or mps")
    if name == "model" and not MODEL.fullmatch(value):
        raise wrong("one of mlp, conv, or your own class as package.module:Class")
    if name in ("data_dir", "model_dir"):
        return _path(value, wrong)  # a resumed run may have another working directory
    return value


def _wrong(name: str, value: Any) -> Wrong:
    def wrong(expected: str) -> UsageError:
        try:
            text = text_of(name, tuple(value) if isinstance(value, list) else value)
            shown = repr(text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…")
        except ValueError:  # Python does not write so large a number
            shown = f"a number of more than {sys.get_int_max_str_digits():,} digits"
        return UsageError(f"{outside(name)} must be {expected}, not {shown}")

    return wrong


def _path(value: str, wrong: Wrong) -> str:
    """A path as it means the same in every working directory."""
    try:
        if b"\0" in value.encode():
            raise ValueError
        return str(Path(value).expanduser().absolute())
    except (ValueError, RuntimeError):  # not UTF-8, which config.toml must be; an unknown user's home
        raise wrong("a path") from None


def _range(kind: type, option: Option) -> str:
    """`a whole number of at least 1 and at most 4096`."""
    low, high = option.minimum, option.maximum
    bounds = "" if low is None else f" above {low:g}" if option.above else f" of at least {low:g}"
    bounds += "" if high is None else f" and at most {high:g}"
    return ("a whole number" if kind is int else "a number") + bounds


def allowed(name: str) -> str:
    """Which values an option takes, in words: its choices, or the range of its number; empty for a free text."""
    option, kind = options()[name], _types()[name]
    if option.choices:
        return "one of " + ", ".join(option.choices)
    if get_origin(kind) is tuple:
        return WIDTHS
    plain = _plain_type(name)
    words = [_range(plain, option)] if plain in (int, float) else []
    return ", or ".join([*words, *([option.unset] if option.unset else [])])


def _number(value: Any, kind: type, option: Option, wrong: Wrong) -> int | float:
    low, high = option.minimum, option.maximum
    try:
        if isinstance(value, bool):
            raise ValueError
        number = kind(value)
        if not math.isfinite(number) or (isinstance(value, float) and number != value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise wrong(_range(kind, option)) from None
    too_low = low is not None and (number <= low if option.above else number < low)
    if too_low or (high is not None and number > high):
        raise wrong(_range(kind, option))
    return int(number) if kind is int else float(number)


def make_config(given: Mapping[str, Any]) -> RunConfig:
    """The whole description of a run: defaults, over them the preset's values, over them what was given.

    `given` maps option names (`latent-dim` or `latent_dim`) to typed or written values.

    Raises:
        UsageError: an unknown option, a value out of place, or values that make no sense together.
    """
    values = {inside(name): check_option(name, value) for name, value in given.items()}
    config = RunConfig(**{**PRESETS[values.get("preset", "default")], **values})
    _check_together(config)
    return config


def _check_together(config: RunConfig) -> None:
    """
    Raises:
        UsageError: two options contradict each other.
    """
    if config.objective == "bce" and config.output not in ("auto", "logits"):
        raise UsageError(f"objective bce needs probabilities, which output {config.output} does not give",
                         "leave output at auto, or choose objective mse or sigma")  # fmt: skip
    if config.objective != "bce" and config.output == "logits":
        raise UsageError(f"output logits goes with objective bce, not with {config.objective}",
                         "leave output at auto, or choose objective bce")  # fmt: skip
    if config.kl_cycles > 1 and config.kl_warmup * config.kl_cycles > config.epochs:
        raise UsageError(f"kl-warmup {config.kl_warmup:g} is longer than a cycle: {config.epochs} epochs in "
                         f"{config.kl_cycles} kl-cycles", "shorten it, or leave it at 0 for half a cycle")  # fmt: skip
    if config.batch_size == 1 and config.norm == "batch":
        raise UsageError("norm batch needs a batch-size of at least 2", "raise it, or choose norm layer")
    if config.batch_size == 1 and config.tc_weight > 0:
        raise UsageError("tc-weight needs a batch-size of at least 2, which it estimates q(z) from", "raise it")


def read_config(path: Path) -> dict[str, Any]:
    """The options that a TOML file gives, checked one by one; for its `runs-dir` see `read_runs_dir`.

    Raises:
        UsageError: the file is missing, not TOML, or has an unknown option or a value out of place.
    """
    given = _read_toml(path)
    with _about(path):
        return {inside(name): check_option(name, value) for name, value in given.items() if not _is_runs_dir(name)}


def read_runs_dir(path: Path) -> str | None:
    """Where a TOML file wants the runs to be, if it says so. That is no option of a run, which may be moved.

    Raises:
        UsageError: the file is missing, not TOML, or this is no path.
    """
    for name, value in _read_toml(path).items():
        if _is_runs_dir(name):
            wrong = _wrong(name, value)
            with _about(path):
                if not isinstance(value, str) or not value.strip():
                    raise wrong("a path")
                return _path(value, wrong)
    return None


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Errors say in which file the value stands."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from None


def _is_runs_dir(name: str) -> bool:
    return outside(name) == "runs-dir"


def _read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        UsageError: the file is missing, not TOML, or says something twice.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a TOML file: {error}") from None
    except ValueError:
        digits = f"{sys.get_int_max_str_digits():,}"
        raise UsageError(f"{path} has a number of more than {digits} digits", "no option takes such a number") from None
    except RecursionError:
        raise UsageError(f"{path} has too many brackets inside each other", "no option takes so many") from None
    for name in given:
        if outside(name) != name and outside(name) in given:
            raise UsageError(f"{path} gives {outside(name)} twice, once as {name}", "leave one of them out")
    return given


def command_line(config: RunConfig) -> str:
    """The shortest `tui-vae train` command that asks for the same."""
    import shlex

    base = dataclasses.replace(RunConfig(preset=config.preset), **PRESETS[config.preset])
    words = ["tui-vae", "train"]
    if config.preset != "default":
        words += ["--preset", config.preset]
    for name in options():
        value = getattr(config, name)
        if name != "preset" and value != getattr(base, name):
            text = text_of(name, value)
            words += [f"--{outside(name)}={text}"] if text.startswith("-") else [f"--{outside(name)}", text]
    return shlex.join(words)
