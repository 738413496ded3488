"""The packages and modules of the project and what they import, read from the code.

`python tests/support/import_graph.py`, or `make map`, prints it.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
CORE = "jukebox_cli"
#: Packages of the core, from the top: each imports only packages that stand below it.
LAYERS = (
    "api",
    "cli",
    "evaluation",
    "train",
    "sampling",
    "engine",
    "model",
    "audio",
    "registry",
    "storage",
    "config",
    "interfaces",
)


@dataclass(frozen=True)
class Module:
    """A module of the core."""

    path: Path

    @property
    def name(self) -> str:
        """Dotted, below the core: `model.prior`; an `__init__` has its package's name."""
        parts = self.path.relative_to(ROOT / CORE).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @property
    def lines(self) -> int:
        return len(self.path.read_text(encoding="utf-8").splitlines())

    def functions(self) -> Iterator[tuple[str, int]]:
        """Name and length in lines of every function, decorators and docstring not counted."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = node.body[0] if ast.get_docstring(node) else None
                yield node.name, _num_lines(node) - (_num_lines(docstring) if docstring else 0)


def _num_lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def modules(folder: Path = ROOT / CORE) -> list[Module]:
    return [Module(path) for path in sorted(folder.rglob("*.py"))]


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a tree, with the names taken from it appended."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class _WithoutTypeChecking(ast.NodeTransformer):
    """Leaves out what only type checkers import."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        self.generic_visit(node)
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else node


def core_imports(module: Module, *, at_run_time: bool = False) -> set[str]:
    """The modules of the core that a module imports, also those inside functions, and those that
    only type checkers import unless `at_run_time`."""
    known = {each.name for each in modules()}
    tree: ast.AST = module.tree
    if at_run_time:
        tree = _WithoutTypeChecking().visit(ast.parse(module.path.read_text(encoding="utf-8")))
    found = set()
    for name in imports(tree):
        if name.startswith(f"{CORE}."):
            inner = name.removeprefix(f"{CORE}.")
            found.add(inner if inner in known else inner.rpartition(".")[0])
    return found - {""}


def package_graph() -> dict[str, set[str]]:
    """Which packages each package imports, itself left out."""
    graph: dict[str, set[str]] = defaultdict(set)
    for module in modules():
        if module.package:
            graph[module.package] |= {name.partition(".")[0] for name in core_imports(module)}
    return {name: there - {name} for name, there in graph.items()}


def main() -> None:
    graph = package_graph()
    print("packages, each importing only those below it:\n")
    for layer in LAYERS:
        below = [name for name in LAYERS if name in graph.get(layer, ())]
        print(f"  {layer:12} -> {', '.join(below) or '-'}")
    print("\nmodules, lines, functions (median lines, longest):\n")
    for module in modules():
        lengths = [length for _, length in module.functions()]
        sizes = f"{len(lengths):3}  {median(lengths):4.0f} {max(lengths):4}" if lengths else ""
        print(f"  {module.name or CORE:34} {module.lines:4}  {sizes}")
    every = [length for module in modules() for _, length in module.functions()]
    print(f"\n{len(every)} functions: median {median(every):.0f} lines, longest {max(every)}")


if __name__ == "__main__":
    main()
