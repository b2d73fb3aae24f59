"""A run as a Python object: its configuration, its figures, and its network on arrays of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tui_vae.api.tables import table
from tui_vae.config import RunConfig
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.history import read_history
from tui_vae.runs.metrics_table import metrics_rows
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.summary import state_of
from tui_vae.runs.trust import check_code, find_to_load

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import ArrayLike, NDArray

    from tui_vae.core.models.vae import VAE
    from tui_vae.trainer.run_setup import LoadedRun
    from tui_vae.trainer.trained_run import TrainedNetwork

    Floats = NDArray[np.float32]


class Posterior(NamedTuple):
    """q(z|x) of N images, a Gaussian with a diagonal covariance.

    mu: its means. logvar: the logarithms of its variances. Both `(N, latent_dim)`, float32.
    """

    mu: Floats
    logvar: Floats


def load_run(
    name: str | None = None,
    runs_dir: str | Path | None = None,
    checkpoint: str | int | None = None,
    trust: bool = False,
) -> Run:
    """The run called `name`, or the newest. Nothing of it is loaded before it is asked for.

    Args:
        name: the run's name, as `tui-vae ls` shows it.
        runs_dir: where the runs are; else `TUI_VAE_RUNS`, else `checkpoints/` of the working directory.
        checkpoint: `last`, `best` or the number of a kept epoch; by default the newest there is.
        trust: allows the code of the network that the run brings, as `--trust` does.

    Raises:
        UserError: there is no such run, or it cannot be read.
    """
    which = None if checkpoint is None else str(checkpoint)
    return Run(find_to_load(runs_directory(runs_dir), name, trust, which), which)


class Run:
    """A run that trains or has been trained. `load_run` and `train` make it.

    Images are arrays `(N, height, width)`, or `(N, height, width, 3)` in colour; one alone may leave N out. Those given
    are whole numbers from 0 (black) to 255 (white), or floats in [0, 1]; those returned are float32 in [0, 1].

    The first call that needs the network imports PyTorch, loads the checkpoint, and sets PyTorch's number of threads to
    the run's. These weights stay, also while the run trains on. Its data are loaded by what needs them alone:
    `test_images`, `show` without images, and `sample` from the fitted Gaussian.
    """

    def __init__(self, directory: RunDirectory, checkpoint: str | None = None) -> None:
        self._directory = directory
        self._checkpoint = checkpoint
        self._network: TrainedNetwork | None = None
        self._data: LoadedRun | None = None

    def __repr__(self) -> str:
        history = read_history(self._directory.events)
        newest = history.epochs[-1] if history.epochs else None
        figure = f", {newest.test.elbo_bpd:.3f} bits a pixel" if newest and newest.test.elbo_bpd is not None else ""
        return f"<run {self.name!r}: {self.state}, {newest.epoch if newest else 0} epochs{figure}>"

    @property
    def name(self) -> str:
        """The run's name."""
        return self._directory.name

    @property
    def path(self) -> Path:
        """The run's directory."""
        return self._directory.path

    @property
    def state(self) -> str:
        """`loading`, `training`, `paused`, `stopped`, `finished`, `failed` or `crashed`, as it is now."""
        return state_of(self._directory, read_history(self._directory.events).state)

    @property
    def config(self) -> RunConfig:
        """What was asked for, every default spelled out.

        Raises:
            UserError: config.toml cannot be read.
        """
        return self._directory.read_config()

    def metrics(self, kind: Literal["pandas", "polars", "numpy"] | None = None) -> Any:
        """The figures of every epoch so far, a row an epoch, with the columns of `tui-vae export --what metrics`.

        A pandas DataFrame where pandas is installed, else one of polars, else a structured array of numpy; `kind` says
        which.

        Raises:
            UserError: no epoch is done yet, or the library asked for is not there.
        """
        rows = metrics_rows(read_history(self._directory.events))
        if not rows:
            raise RunError(f"run {self.name!r} has not finished an epoch yet")
        return table(rows, kind)

    def model(self) -> VAE:
        """The network with the checkpoint's weights, in evaluation mode, on the run's device.

        A `torch.nn.Module`: `encode(x)` → μ, log σ² and `decode(z)` → x̂, for x of shape `(N, D)` in [-1, 1], D =
        channels · height · width.

        Raises:
            UserError: its code is not allowed, or the checkpoint cannot be loaded.
        """
        return self._load().model

    def encode(self, images: ArrayLike) -> Posterior:
        """q(z|x) of images.

        Raises:
            UserError: as `model`; or these are no images of the run's size.
        """
        found = self._reconstruct(images)
        return Posterior(found.mu.cpu().numpy(), found.logvar.cpu().numpy())

    def decode(self, z: ArrayLike) -> Floats:
        """The images of latents `(N, latent_dim)`.

        Raises:
            UserError: as `model`; or these are no latents of the run.
        """
        import numpy as np
        import torch

        latents, width = np.atleast_2d(np.asarray(z, np.float32)), self.model().latent_dim
        if latents.ndim != 2 or latents.shape[1] != width:
            raise UserError(f"latents of shape {np.shape(z)} do not fit run {self.name!r}", f"give (N, {width})")
        return self._decode(torch.from_numpy(latents))

    def reconstruct(self, images: ArrayLike) -> Floats:
        """What the network makes of images, at z = μ.

        Raises:
            UserError: as `encode`.
        """
        return self._images(self._reconstruct(images).images)

    def sample(self, count: int = 16, source: Literal["fitted", "prior"] = "fitted", seed: int = 0) -> Floats:
        """Images of random latents; the same seed gives the same ones.

        source: `fitted`, the Gaussian fitted to the encoder's z on the training images, or `prior`, N(0, I).

        Raises:
            UserError: as `model`; or the run's data are not there, or no Gaussian fits, as the encoder has diverged.
        """
        import torch

        from tui_vae.core.evaluation.latent_gaussian import fit_gaussian
        from tui_vae.core.evaluation.posteriors import encode_posteriors

        model, generator = self.model(), torch.Generator().manual_seed(seed)
        if source == "prior":
            return self._decode(torch.randn(count, model.latent_dim, generator=generator))
        try:
            return self._decode(fit_gaussian(encode_posteriors(model, self._load_data().subset)).draw(count, generator))
        except RuntimeError:
            hint = "sample from the prior, or load the checkpoint best"
            raise UserError(f"no Gaussian fits the latents of {self.name!r}: it has diverged", hint) from None

    def test_images(self) -> NDArray[np.uint8 | np.float32]:
        """The run's test images, as its data are: uint8, or float32 in [0, 1].

        Raises:
            UserError: as `model`; or the run's data are not there.
        """
        return self._load_data().dataset.test_images

    def show(self, images: ArrayLike | None = None, count: int = 8) -> None:
        """Show images, each beside its reconstruction: a picture in a notebook, half blocks in a terminal.

        images: by default the first `count` test images.

        Raises:
            UserError: as `encode`.
        """
        from tui_vae.api.pictures import show_rows

        shown = self._check(self.test_images()[:count] if images is None else images)
        show_rows(list(zip(shown.cpu().numpy(), self.reconstruct(shown.cpu().numpy()), strict=True)))

    def _load(self) -> TrainedNetwork:
        if self._network is None:
            check_code(self._directory, self._checkpoint)  # before PyTorch takes its seconds
            from tui_vae.trainer.trained_run import load_trained_network

            self._network = load_trained_network(self._directory, self._checkpoint)
        return self._network

    def _load_data(self) -> LoadedRun:
        self._load()  # first: the weights that it had are those that it keeps
        if self._data is None:
            from tui_vae.trainer.trained_run import load_trained_run

            self._data, _ = load_trained_run(self._directory, self._checkpoint)
        return self._data

    def _check(self, images: ArrayLike) -> torch.Tensor:
        """Images of the run's size, on its device: uint8, or float32 in [0, 1].

        Raises:
            UserError: they are of another size or scale.
        """
        import numpy as np
        import torch

        network, given = self._load(), np.asarray(images)
        channels, height, width = network.shape
        wanted = (height, width) if channels == 1 else (height, width, channels)
        found = given[np.newaxis] if given.shape == wanted else given
        if found.shape[1:] != wanted or found.dtype.kind not in "uif":
            hint = f"give (N, {', '.join(map(str, wanted))}), of numbers"
            raise UserError(f"an array {given.shape} of {given.dtype} holds no images of run {self.name!r}", hint)
        whole = found.dtype.kind in "ui"
        low, high = (found.min(), found.max()) if found.size else (0, 0)
        if not 0 <= low <= high <= (255 if whole else 1):
            hint = "give whole numbers from 0 to 255, or floats from 0 to 1"
            raise UserError(f"these images' values lie in {low:g} … {high:g}", hint)
        return torch.from_numpy(np.array(found, np.uint8 if whole else np.float32)).to(network.device)

    def _reconstruct(self, images: ArrayLike) -> Any:
        from tui_vae.core.evaluation.forward import reconstruct

        return reconstruct(self.model(), self._check(images))

    def _decode(self, latents: torch.Tensor) -> Floats:
        from tui_vae.core.evaluation.forward import decode

        network = self._load()
        return self._images(decode(network.model, latents.to(network.device)))

    def _images(self, flat: torch.Tensor) -> Floats:
        from tui_vae.core.pixels import as_images

        made: Floats = as_images(flat, self._load().shape).float().cpu().numpy()
        return made
