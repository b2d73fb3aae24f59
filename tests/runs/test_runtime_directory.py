"""The private directory of sockets: what belongs to somebody else is passed over."""

import os
import stat
from pathlib import Path

import pytest

from tests.support.users import NOBODY
from tui_vae.errors import UserError
from tui_vae.runs.runtime_directory import runtime_directory


def test_it_lies_in_the_users_runtime_directory_and_is_private(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    (short_path / "tui-vae").mkdir(mode=0o777)
    assert runtime_directory() == short_path / "tui-vae"
    assert stat.S_IMODE((short_path / "tui-vae").stat().st_mode) == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("whose", ["the runtime directory", "the directory in it"])
def test_what_belongs_to_another_user_is_passed_over(
    short_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    runtime, temporary = short_path / "runtime", short_path / "tmp"
    (runtime / "tui-vae").mkdir(parents=True)
    temporary.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    os.chown(runtime if whose == "the runtime directory" else runtime / "tui-vae", NOBODY, NOBODY)
    assert runtime_directory() == temporary / f"tui-vae-{os.getuid()}"


def test_with_no_place_under_tmp_it_lies_among_the_users_own_files(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TUI_VAE_STATE", str(short_path / "state"))
    taken = short_path / "taken"
    taken.touch()
    mkdir = Path.mkdir

    def no_room(path: Path, *arguments: object, **options: object) -> None:
        if path.name == f"tui-vae-{os.geteuid()}":
            raise FileExistsError
        mkdir(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", no_room)
    assert runtime_directory() == short_path / "state" / "run"
    monkeypatch.setenv("TUI_VAE_STATE", str(taken))
    with pytest.raises(UserError, match="no directory"):
        runtime_directory()
