"""plotext without its manual.

Written for plotext 6.1: at its import it writes its whole manual (`plotext._doc.doc`), which takes longer than all the
rest of the import and is not read here. Without this, the first chart appears later.

To see whether it is still needed: `python -X importtime -c "import plotext"`, the line of `plotext._doc.doc`.
"""

from __future__ import annotations

import sys
import threading
import types
from contextlib import suppress
from importlib import import_module
from typing import Any

MANUAL = "plotext._doc.doc"

_one_at_a_time = threading.Lock()
"""Two panes may ask for plotext in threads of their own; while one removes the manual, the other may look for it."""


def import_plotext() -> Any:
    """The module plotext. It takes 80 ms, so not before the first chart has something to show."""
    with _one_at_a_time:
        sys.modules[MANUAL] = types.ModuleType(MANUAL)
        sys.modules[MANUAL].docs = None  # type: ignore[attr-defined]
        with suppress(AttributeError, ImportError):  # a version that does more with its manual is imported whole, below
            import_module("plotext")
        del sys.modules[MANUAL]
        return import_module("plotext")
