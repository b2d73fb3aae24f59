"""`python -m tui_vae`: the same as the command `tui-vae`."""

import sys

from tui_vae.cli import main

if __name__ == "__main__":
    sys.exit(main())
