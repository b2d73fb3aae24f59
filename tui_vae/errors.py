"""The errors that are meant for users: one sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """An error that a user can understand and mend. Shown as `message`, then `hint`; exit code 1."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(UserError):
    """A wrong option or argument; exit code 2."""

    exit_code = 2


def nearest(word: str, known: Iterable[str]) -> str:
    """`, the nearest is fashion-1`: the known name that is most like a misspelt word; empty where none is like it."""
    from difflib import get_close_matches

    like = get_close_matches(word, known, n=1)
    return f", the nearest is {like[0]}" if like else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was refused: by Python or numpy, by a GPU, by PyTorch's allocator on a CPU, or to a library.

    By their names and words: whoever asks need not have imported PyTorch.
    """
    refused_by_allocator = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    words = str(error).lower() if isinstance(error, ImportError) else ""  # those of dlopen, with a file before them
    refused_to_library = "failed to map segment" in words or "cannot allocate memory" in words
    refused = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return refused or refused_by_allocator or refused_to_library


NO_MORE_PROCESSES = "end some of your processes, or raise the limit on their number (ulimit -u)"
"""What to do where the system starts no more processes or threads of this user."""


def is_out_of_threads(error: BaseException) -> bool:
    """Whether the system refused a thread: the limit on a user's processes counts threads as well."""
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


def first_line(error: Exception) -> str:
    """The first line of an error from a library, whose message may have pages; its type if the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
