"""Whether a run's data can be used, before anything of the run is made: `python -m tui_vae.core.data.check`.

As a module it reads a run's options as JSON from its standard input. It prints what is wrong, as `{"message", "hint"}`,
and ends with 1, or prints nothing.
"""

from __future__ import annotations

import json
import sys

from tui_vae.config import RunConfig, make_config
from tui_vae.config.data_options import is_own
from tui_vae.core.data.download import Progress
from tui_vae.errors import UserError


def check_data(config: RunConfig, progress: Progress | None = None) -> None:
    """Read the data of a run that begins, unless they are FashionMNIST in its usual places.

    What is decoded is in the cache afterwards.

    Raises:
        DatasetError: they cannot be used; the message says why.
    """
    if not is_own(config.dataset, config.data_dir):
        return
    from tui_vae.core.data.datasets import load

    load(config.dataset, config.data_dir, config.train_limit, config.test_limit, progress,
         config.image_size, config.channels, config.test_share)  # fmt: skip


def main() -> int:
    try:
        check_data(make_config(json.load(sys.stdin)))
    except UserError as error:
        print(json.dumps({"message": error.message, "hint": error.hint}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
