"""Calls of C kernels, and how neighbours among them become one call.

Between two matrix products little of the interpreter is left in a CPU's caches, and a call from Python takes several
microseconds. A pass through a network of a dozen products and kernels is therefore one call, of all that are C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ctypes import Structure, addressof, byref, c_void_p, cast
from dataclasses import dataclass
from functools import partial
from typing import Any

from tui_vae.core.step.load_kernels import Call

Kernel = Callable[[int], object]
"""Launches a kernel for so many images."""


class NativeCalls:
    """Calls of C kernels, one after the other.

    Args:
        library: has the kernels as functions. alive: what `calls` point to, which must not be freed.
    """

    def __init__(self, library: Any, calls: Iterable[Call], *alive: object) -> None:
        self._library, self._alive = library, alive
        listed = [*calls]
        self._calls = (Call * len(listed))(*listed)

    def __call__(self) -> None:
        """Do them."""
        self._library.run_calls(self._calls, len(self._calls))

    def __add__(self, other: NativeCalls) -> NativeCalls:
        """These, then the other's."""
        return NativeCalls(self._library, [*self._calls, *other._calls], self, other)


@dataclass(frozen=True)
class NativeKernel:
    """A `Kernel` of C.

    Attributes:
        library: has it as a function, by its name. given: the structure that it knows.
        threads: of OpenMP. places: rows of an image. alive: what the structure points to, if it must not be freed.
    """

    library: Any
    name: str
    given: Structure
    threads: int
    places: int = 1
    alive: object = None

    def __call__(self, images: int) -> None:
        """Run it."""
        getattr(self.library, self.name)(byref(self.given), images * self.places, self.threads)

    def bound(self, images: int) -> NativeCalls:
        """Its call for so many images."""
        kernel = cast(getattr(self.library, self.name), c_void_p).value
        call = Call(kernel=kernel, given=addressof(self.given), rows=images * self.places, threads=self.threads)
        return NativeCalls(self.library, [call], self)


def bound(kernel: Kernel, images: int) -> Callable[[], object]:
    """The call of a kernel for so many images."""
    return kernel.bound(images) if isinstance(kernel, NativeKernel) else partial(kernel, images)


def joined(calls: Iterable[Callable[[], object]]) -> list[Callable[[], object]]:
    """The same calls, in which those of C that follow each other are one."""
    found: list[Callable[[], object]] = []
    for call in calls:
        last = found[-1] if found else None
        if isinstance(call, NativeCalls) and isinstance(last, NativeCalls):
            found[-1] = last + call
        else:
            found.append(call)
    return found
