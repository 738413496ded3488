"""Builds the native engine; everything else about the package is in pyproject.toml.

Without a compiler the package installs without it, and computes with torch alone.
"""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

NATIVE = Path("jukebox_cli/engine/native")
#: Fused multiply-adds only where the source says so, so that every kernel rounds alike.
GCC_FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
MSVC_FLAGS = ["/std:c++17", "/O2", "/fp:precise"]


class BuildKernels(build_ext):
    def build_extensions(self) -> None:
        msvc = self.compiler.compiler_type == "msvc"
        for extension in self.extensions:
            extension.extra_compile_args = MSVC_FLAGS if msvc else GCC_FLAGS
            extension.extra_link_args = [] if msvc else ["-pthread"]
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception:
            self.library(ext).unlink(missing_ok=True)  # what an earlier build left
            raise

    def library(self, extension: Extension) -> Path:
        return Path(self.get_ext_fullpath(extension.name))


class Wheel(bdist_wheel):
    """A wheel for this system if the native engine was built, else one for any, without it."""

    def run(self) -> None:
        self.run_command("build")
        build = self.get_finalized_command("build_ext")
        if not all(build.library(extension).exists() for extension in build.extensions):
            self.distribution.ext_modules = []
            self.root_is_pure = True
        super().run()


setup(
    cmdclass={"build_ext": BuildKernels, "bdist_wheel": Wheel},
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
