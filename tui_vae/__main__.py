"""Where the command `tui-vae` and `python -m tui_vae` begin. Ctrl-C is seen to before anything else is imported."""

import sys

from tui_vae.interrupts import come_again_when_stopped, end_quietly


def main() -> int:
    """Run the command of this process's arguments and return its exit code."""
    if "--resume-if-exists" in sys.argv:
        come_again_when_stopped()
    end_quietly()
    from tui_vae import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
