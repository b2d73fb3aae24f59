"""Where the command `tui-vae` and `python -m tui_vae` begin. Ctrl-C is seen to before anything else is imported."""

from tui_vae.interrupts import end_quietly


def main() -> int:
    """Run the command of this process's arguments and return its exit code."""
    end_quietly()
    from tui_vae import cli

    return cli.main()


if __name__ == "__main__":
    import sys

    sys.exit(main())
