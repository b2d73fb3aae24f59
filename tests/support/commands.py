"""What a command printed, and what an error must look like."""

from collections.abc import Callable

Output = tuple[int, str, str]
Run = Callable[..., Output]


def assert_one_sentence(output: Output, code: int, says: str = "") -> None:
    found, out, err = output
    assert (found, out) == (code, ""), err
    assert err.startswith("tui-vae: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert err[:-1].isprintable(), ascii(err)
    assert "Traceback" not in err
    assert "unexpected" not in err
    assert says in err
