"""What pyproject.toml cannot say: which Pythons a wheel with the C kernels is for, and how to build one without them.

The kernels know nothing of Python: `ctypes` loads them. So one wheel serves every Python of a platform.
TUI_VAE_PURE=1 leaves them out and makes one wheel for every platform; no compiler is asked for.
"""

import os
from typing import Any

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel


class PureDistribution(Distribution):
    """The package without its compiled kernels; PyTorch's own kernels train in their place."""

    def parse_config_files(self, *arguments: Any, **settings: Any) -> None:
        super().parse_config_files(*arguments, **settings)
        self.ext_modules = []


class WheelForEveryPython(bdist_wheel):
    """A wheel whose name says the platform, where it has kernels, and no version of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        platform = super().get_tag()[2]
        return "py3", "none", platform


setup(
    distclass=PureDistribution if os.environ.get("TUI_VAE_PURE") == "1" else Distribution,
    cmdclass={"bdist_wheel": WheelForEveryPython},
)
