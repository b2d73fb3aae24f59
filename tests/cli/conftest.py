"""The command line in this process."""

import pytest

from tests.support.commands import Output, Run
from tui_vae.cli import main


@pytest.fixture
def tui_vae(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> Output:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run
