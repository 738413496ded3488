"""The source distribution, and wheels with and without the native engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from jukebox_cli import __version__
from jukebox_cli.engine import library
from support.engines import needs_native_engine
from support.paths import ROOT

pytestmark = pytest.mark.slow

PIP = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check")
NATIVE = "jukebox_cli/engine/native"
KERNELS = "jukebox_cli/engine/_kernels"
TRY_KERNELS = ROOT / "tests/support/try_kernels.py"


def run(*words: object, **environment: str) -> str:
    """The output of a command, which must succeed."""
    command = [str(word) for word in words]
    inherited = {name: value for name, value in os.environ.items() if name not in ("CC", "CXX")}
    env = {**inherited, **environment}
    result = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def build_wheel(source: Path, target: Path, **environment: str) -> Path:
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", target, source, **environment)
    (wheel,) = target.glob("*.whl")
    return wheel


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def tags_of(wheel: Path) -> list[str]:
    """What WHEEL says that the wheel is made for, and whether it is pure Python."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"jukebox_cli-{__version__}.dist-info/WHEEL").decode()
    return [line for line in text.splitlines() if line.startswith(("Tag: ", "Root-Is-Purelib: "))]


def make_venv(folder: Path, wheel: Path, no_compiler: Mapping[str, str]) -> Path:
    """The Python of a fresh environment with the wheel, and with the packages of this one."""
    venv.create(folder, symlinks=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    python = next(path for path in scripts.glob("python*") if path.stem == "python")
    install = ("install", "--no-deps", "--no-index", wheel)
    run(*PIP, "--python", python, *install, **no_compiler)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (Path(site) / "dependencies.pth").write_text("\n".join(packages))
    return python


@pytest.fixture(scope="module")
def no_compiler(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that finds no compiler."""
    return {"PATH": str(tmp_path_factory.mktemp("empty"))}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.so", "build", "dist", "runs", "golden")
    return Path(
        shutil.copytree(ROOT, tmp_path_factory.mktemp("source") / "jukebox", ignore=ignored)
    )


@pytest.fixture(scope="module")
def sdist(source: Path) -> Path:
    """The unpacked source distribution."""
    code = f"import os; os.chdir({str(source)!r}); from setuptools import build_meta as build; "
    run(sys.executable, "-c", code + "build.build_sdist('dist')")
    (archive,) = (source / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(source.parent, filter="data")
    return source.parent / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def binary_wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(sdist, tmp_path_factory.mktemp("binary"))


def test_the_sdist_has_all_sources_of_the_kernels(sdist: Path) -> None:
    def files(root: Path) -> list[str]:
        return sorted(path.name for path in (root / NATIVE).iterdir())

    assert files(sdist) == files(ROOT)
    assert (sdist / "setup.py").is_file()


@needs_native_engine
def test_a_wheel_with_kernels_is_for_one_system_and_all_versions_of_python(
    binary_wheel: Path,
) -> None:
    assert binary_wheel.name.startswith(f"jukebox_cli-{__version__}-cp310-abi3-")
    assert "any" not in binary_wheel.name
    purity, *tags = tags_of(binary_wheel)
    assert purity == "Root-Is-Purelib: false"
    assert all(tag.startswith("Tag: cp310-abi3-") for tag in tags)
    kernels = [name for name in names_in(binary_wheel) if name.startswith(KERNELS)]
    assert kernels in ([f"{KERNELS}.abi3.so"], [f"{KERNELS}.pyd"])
    assert not any(name.startswith(NATIVE + "/") for name in names_in(binary_wheel))


@needs_native_engine
def test_its_kernels_run_where_there_is_no_compiler(
    binary_wheel: Path, no_compiler: dict[str, str], tmp_path: Path
) -> None:
    python = make_venv(tmp_path / "venv", binary_wheel, no_compiler)
    module, *kernels = run(python, "-I", TRY_KERNELS, **no_compiler).split()
    assert Path(module).is_relative_to(tmp_path)
    assert tuple(kernels) == library.kernel_names()
    version = run(python, "-Im", "jukebox_cli", "--version", "--verbose", **no_compiler)
    if library.has_fast_kernels():
        assert f"\nengine on a CPU: native, kernels {library.chosen_kernels()}\n" in version


@pytest.mark.parametrize("broken", [False, True], ids=["no compiler", "broken compiler"])
def test_a_wheel_without_kernels_is_for_any_system(
    broken: bool, binary_wheel: Path, sdist: Path, no_compiler: dict[str, str], tmp_path: Path
) -> None:
    os.utime(sdist / NATIVE / "model.h")  # what was built for `binary_wheel` is out of date
    compiler = {"CC": "false", "CXX": "false"} if broken else no_compiler
    wheel = build_wheel(sdist, tmp_path, **compiler)
    assert wheel.name == f"jukebox_cli-{__version__}-py3-none-any.whl"
    assert tags_of(wheel) == ["Root-Is-Purelib: true", "Tag: py3-none-any"]
    with_kernels, without = (
        {name for name in names_in(path) if ".dist-info" not in name}
        for path in (binary_wheel, wheel)
    )
    assert without == {name for name in with_kernels if not name.startswith(KERNELS)}
    if broken:
        return
    python = make_venv(tmp_path / "venv", wheel, no_compiler)
    version = run(python, "-Im", "jukebox_cli", "--version", "--verbose", **no_compiler)
    reason = "jukebox-cli was installed without a C++ compiler"
    assert f"\nengine on a CPU: torch ({reason})\n" in version
