"""The long part of docs/reliability.md by one command: `python scripts/reliability.py [--kills N] [--epochs N] …`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # Python puts the folder of a script there

from tests.reliability.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
