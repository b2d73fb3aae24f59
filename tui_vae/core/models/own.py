"""A network of the user's own: what its class must offer, how it is found, and the dry run that it has to pass."""

from __future__ import annotations

import copy
import hashlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from math import prod
from types import CodeType
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from tui_vae.config import RunConfig
from tui_vae.config.own_code import HINT, NotTrusted, OwnCode, check_allowed, model_folder
from tui_vae.core.arithmetic import set_arithmetic
from tui_vae.core.models.vae import VAE
from tui_vae.core.own_line import own_line
from tui_vae.core.pixels import Shape
from tui_vae.errors import UserError

Value = TypeVar("Value")


class OwnModel(Protocol):
    """What `--model package.module:Class` names: a `torch.nn.Module` with this constructor and these two methods.

    N is the size of a batch. Images are float32 `(N, C, height, width)` with values in [-1, 1], dark to bright; C is 1
    for grey images, 3 for red, green and blue.
    Parameters are float32; modules may have buffers, and be in train or eval mode. A class that ends its decoder with a
    sigmoid, and wants objective `bce` computed without a detour, also offers `decode_logits`, which takes z and gives
    the logits of p̂ = (x̂ + 1)/2.
    """

    def __init__(self, shape: tuple[int, ...], config: RunConfig) -> None:
        """`shape`: (height, width) of grey images, (3, height, width) of images in colour, so that a model for grey
        images alone may take two numbers; `config`: the run's options, above all `config.latent_dim`."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images → μ and log σ² of q(z|x), each `(N, latent_dim)`."""

    def decode(self, z: Tensor) -> Tensor:
        """z `(N, latent_dim)` → images x̂ on the [-1, 1] scale, `(N, C, height, width)`, or flat in that order,
        `(N, C·height·width)`."""


class WrappedModel(VAE):
    """A user's own network as one of ours: it takes and gives flat images, `(N, D)`.

    Attributes:
        repeats_itself: whether the class says, by `cuda_graph = True`, that its Python does the same in every step.
    """

    def __init__(self, own: nn.Module, shape: Shape, latent_dim: int) -> None:
        super().__init__(prod(shape), latent_dim, callable(getattr(own, "decode_logits", None)))
        self.own: Any = own
        self.repeats_itself = getattr(own, "cuda_graph", False) is True
        self._shape = shape

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images `(N, D)` → μ and log σ², each `(N, latent_dim)`."""
        mu, logvar = self.own.encode(x.view(-1, *self._shape))
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        """z `(N, latent_dim)` → x̂ `(N, D)`."""
        decoded: Tensor = self.own.decode(z)
        return decoded.flatten(1)

    def decode_logits(self, z: Tensor) -> Tensor:
        """z `(N, latent_dim)` → the logits of p̂, `(N, D)`."""
        logits: Tensor = self.own.decode_logits(z)
        return logits.flatten(1)


def load_own_model(shape: Shape, config: RunConfig) -> WrappedModel:
    """Import the class that `config.model` names, from `config.model_dir` if it is there, and try its network out.

    Raises:
        NotTrusted: this user has neither trained with that code nor allowed it.
        UserError: it is not there, or does not fit; the message says in what.
    """
    module_name, _, class_name = config.model.partition(":")
    threads = torch.get_num_threads()
    module = _import(module_name, config)
    set_arithmetic(threads)  # such files often begin with a lower precision of products
    made = getattr(module, class_name, None)
    if not isinstance(made, type):
        raise _misfit(config, f"{module.__file__} has no class {class_name}")
    if not issubclass(made, nn.Module):
        raise _misfit(config, "it is not a torch.nn.Module")
    told = shape[1:] if shape[0] == 1 else shape
    what = "its constructor" if shape[0] == 1 else f"its constructor, for images in colour of shape {told},"
    own = _calling(config, what, lambda: made(told, config))
    for method in ("encode", "decode"):
        if not callable(getattr(own, method, None)):
            raise _misfit(config, f"it has no method {method}")
    model = WrappedModel(own, shape, config.latent_dim)
    _try_out(model, shape, config)
    _put_channels_last(model)
    return model


def _import(name: str, config: RunConfig) -> Any:
    code = check_allowed(config)
    folder = model_folder(config)
    if folder is not None and folder not in sys.path:
        sys.path.insert(0, folder)
    finder = AllowedOnly(code)
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _misfit(config, f"its module needs {error.name!r}, which is not installed") from None
        where = f" in {config.model_dir}" if config.model_dir else ""
        raise _misfit(config, f"there is no module {name}{where}") from None
    except NotTrusted:
        raise
    except (Exception, SystemExit) as error:
        raise _misfit(config, f"importing {name} raised {_message_of(error)}") from error
    finally:
        sys.meta_path.remove(finder)
        # What else is imported later is looked for in its usual places first.
        if folder is not None and sys.path[0] == folder:
            sys.path.append(sys.path.pop(0))


class AllowedOnly:
    """Has the files of a model's code run as they were when they were allowed, from their source.

    Python would prefer a `__pycache__` beside a file, which whoever made the folder may have filled with anything.
    """

    def __init__(self, code: OwnCode | None) -> None:
        self._digests = dict(code.files) if code else {}

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        """How the module `name` is loaded, if its file is of the allowed code; None leaves it to Python's finders."""
        spec = PathFinder.find_spec(name, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            digest = self._digests.get(os.path.realpath(spec.loader.path))
            if digest is not None:
                spec.loader = AllowedLoader(name, spec.loader.path, digest)
                return spec
        return None


class AllowedLoader(SourceFileLoader):
    """Runs a file only if its SHA-256 is the allowed one."""

    def __init__(self, name: str, path: str, digest: str) -> None:
        super().__init__(name, path)
        self._digest = digest

    def get_code(self, fullname: str) -> CodeType:
        """The code compiled from the source itself, never from a `__pycache__`.

        Raises:
            NotTrusted: the file is no longer the one that was allowed.
        """
        data = self.get_data(self.path)
        if hashlib.sha256(data).hexdigest() != self._digest:
            raise NotTrusted(f"{self.path} has changed this moment", HINT)
        code: CodeType = self.source_to_code(data, self.path)
        return code


def _try_out(model: WrappedModel, shape: Shape, config: RunConfig) -> None:
    """Encode and decode two images, and look at what comes out.

    Raises:
        UserError: it does not fit.
    """
    count, pixels, latent = 2, model.pixels, config.latent_dim
    x = torch.linspace(-1, 1, count * pixels).view(count, *shape)
    state = torch.get_rng_state()
    model.eval()
    try:
        encoded = _calling(config, "encode", lambda: model.own.encode(x))
        if not isinstance(encoded, (tuple, list)) or len(encoded) != 2:
            raise _misfit(config, "encode must give two tensors, μ and log σ²")
        for name, part in zip(("μ", "log σ²"), encoded, strict=True):
            _check(config, f"encode's {name}", part, [(count, latent)])
        shapes = [(count, *shape), (count, pixels), *([(count, *shape[1:])] if shape[0] == 1 else [])]
        mu, logvar = encoded
        decoded = _calling(config, "decode", lambda: model.own.decode(mu + 0 * logvar))
        _check(config, "decode's images", decoded, shapes)
        if model.has_logits:
            logits = _calling(config, "decode_logits", lambda: model.own.decode_logits(mu))
            _check(config, "decode_logits' logits", logits, shapes)
        learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not learnt:
            raise _misfit(config, "it has no parameters to learn")
        if any(parameter.dtype != torch.float32 for parameter in learnt):
            raise _misfit(config, "its parameters must be float32")
        if not decoded.requires_grad:
            raise _misfit(config, "no gradient comes from what it decodes")
    finally:
        model.train()
        torch.set_rng_state(state)


def _put_channels_last(model: WrappedModel) -> None:
    """Have convolutions on a CPU work on images whose channels lie last in memory, if all of the user's code can.

    oneDNN's convolutions then take two thirds of the time, and layers between them follow. A `view` of their output as
    another shape may refuse that order: the transposed convolutions are then tried alone.
    """
    state = torch.get_rng_state()
    for kinds in ((nn.Conv2d, nn.ConvTranspose2d), (nn.ConvTranspose2d,)):
        layers = [layer for layer in model.modules() if isinstance(layer, kinds)]
        hooks = [layer.register_forward_pre_hook(_channels_last) for layer in layers]
        try:
            if hooks:
                _call_all(copy.deepcopy(model))  # of which training may leave traces
            return
        except Exception:  # of any type, from the user's code, which has just worked in the usual order
            for hook in hooks:
                hook.remove()
        finally:
            torch.set_rng_state(state)


@torch.no_grad()
def _call_all(model: WrappedModel) -> None:
    """Encode and decode two images, as in training and as in evaluation."""
    for training in (True, False):
        model.train(training)
        mu, _ = model.encode(torch.zeros(2, model.pixels))
        model.decode(mu)
        if model.has_logits:
            model.decode_logits(mu)


def _channels_last(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Before a convolution: the same images `(N, channels, height, width)` with their channels last in memory."""
    if not (len(inputs) == 1 and isinstance(inputs[0], Tensor)) or inputs[0].dim() != 4:
        return None
    images = inputs[0]
    if images.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    count, channels, height, width = images.shape
    if channels == 1:  # both orders are the same, and the strides alone tell which is meant
        return (images.reshape(count, height, width, 1).permute(0, 3, 1, 2),)
    return (images.contiguous(memory_format=torch.channels_last),)


def _check(config: RunConfig, what: str, value: object, shapes: list[tuple[int, ...]]) -> None:
    if not isinstance(value, Tensor):
        raise _misfit(config, f"{what} must be a tensor, not {type(value).__name__}")
    if tuple(value.shape) not in shapes:
        raise _misfit(config, f"of two images {what} must have shape {shapes[0]}, not {tuple(value.shape)}")
    if not value.is_floating_point():
        raise _misfit(config, f"{what} must be floating point, not {value.dtype}")
    if not bool(value.isfinite().all()):
        raise _misfit(config, f"{what} must be finite; there is NaN or infinity in it")


def _calling(config: RunConfig, what: str, call: Callable[[], Value]) -> Value:
    try:
        return call()
    except Exception as error:
        raise _misfit(config, f"{what} raised {_message_of(error)}") from error


def _message_of(error: BaseException) -> str:
    """Its type, its first line, and the line of the user's code that it comes from."""
    lines = str(error).strip().splitlines()
    message = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    says_it_itself = isinstance(error, SyntaxError)
    return message if says_it_itself else message + own_line(traceback.extract_tb(error.__traceback__))


def _misfit(config: RunConfig, why: str) -> UserError:
    hint = "docs/own-model.md says what a model must offer"
    return UserError(f"model {config.model} cannot be used: {why}", hint)
