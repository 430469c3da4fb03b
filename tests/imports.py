"""Which modules of this project a file imports, also inside functions, directly and through others."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent


def module_file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path.relative_to(ROOT)
    return None


def imported_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name == "cxr" or name.startswith("cxr.")}


def closure(path: Path) -> set[str]:
    """Return POSIX paths of all project files that running `path` can import, with their packages."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for module in imported_modules(current):
            parts = module.split(".")
            packages = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
            waiting += [file for name in packages if (file := module_file(name))]
    return {file.as_posix() for file in seen}
