"""Builds the native engine; everything else about the package is in pyproject.toml.

Without a compiler the package installs without it, and computes with torch alone.
"""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("jukebox_cli/engine/native")
#: Fused multiply-adds only where the source says so, so that every kernel rounds alike.
GCC_FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
GCC_FLAGS += ["-Wno-maybe-uninitialized"]  # GCC's own AVX-512 header sets it off
MSVC_FLAGS = ["/std:c++17", "/O2", "/fp:precise"]


class BuildKernels(build_ext):
    def build_extensions(self) -> None:
        msvc = self.compiler.compiler_type == "msvc"
        for extension in self.extensions:
            extension.extra_compile_args = MSVC_FLAGS if msvc else GCC_FLAGS
            extension.extra_link_args = [] if msvc else ["-pthread"]
        super().build_extensions()


setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=[
        Extension(
            "jukebox_cli.engine._kernels",
            sources=sorted(str(path) for path in NATIVE.glob("*.cpp")),
            depends=sorted(str(path) for path in NATIVE.glob("*.h")),
            language="c++",
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
