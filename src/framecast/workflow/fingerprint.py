"""A fingerprint of exactly the code that a job runs.

Snakemake does not see edits of imported modules, and hashing whole files would retrain a network when a plot label
changes. So a rule names the functions it calls; from there this module follows *names* through the package's syntax
trees and hashes what it reaches: functions, classes and module-level values. Docstrings, comments, blank lines and
annotations of other functions do not count. Nothing is imported, so parsing the Snakefile stays cheap.

What it cannot see: names that are put together at run time. Task and model modules are found by name, so the rules list
their functions themselves (`framecast.workflow.plan`).
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

from framecast.core.files import digest

PACKAGE = "framecast"
# Code that reports, guards or looks things up and never enters a result; an edit there re-runs nothing. Values of the
# config are in the parameters themselves.
NEUTRAL = {
    f"{PACKAGE}.{name}"
    for name in (
        "core.components",
        "core.contract",
        "core.needs",
        "config.base",
        "core.devices",
        "core.lifeline",
        "core.locks",
        "core.progress",
        "core.provenance",
        "training.tracking",
        "core.validation",
    )
}
SOURCE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """Top-level definitions of one module: name → statements, and imported name → (module, name or None)."""

    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, tuple[str, str | None]]


def fingerprint(entries: list[str]) -> str:
    """Hash of everything that the entries reach.

    Args:
        entries: `module:name` each, for example `framecast.training.loop:train`; `module:*` takes a whole module.

    Raises:
        ValueError: an entry names no module or definition of the package.
    """
    seen: dict[str, str] = {}
    waiting = [_entry(text) for text in entries]
    while waiting:
        module, name = waiting.pop()
        key = f"{module}:{name}"
        if key not in seen and module not in NEUTRAL:
            seen[key], reached = _definition(module, name)
            waiting.extend(reached)
    return digest(*(part for key in sorted(seen) for part in (key, seen[key])))


def forget() -> None:
    """Read the files anew next time; within one process they are read once."""
    _parse.cache_clear()
    _definition.cache_clear()


@functools.cache
def _definition(module: str, name: str) -> tuple[str, list[tuple[str, str]]]:
    """Hash of a definition's own code, and the definitions it names."""
    statements = _statements(module, name)
    code = digest(*(ast.dump(_bare(statement)) for statement in statements))
    return code, [found for statement in statements for found in _reached(module, statement)]


def _entry(text: str) -> tuple[str, str]:
    module, _, name = text.partition(":")
    if _path(module) is None:
        raise ValueError(f"fingerprint entry {text!r}: there is no module {module!r} below {SOURCE}")
    if name != "*" and name not in _module(module).definitions:
        raise ValueError(f"fingerprint entry {text!r}: {module} defines {sorted(_module(module).definitions)}")
    return module, name


def defines(module: str, name: str) -> bool:
    """Whether a module of the package has this top-level definition."""
    return _path(module) is not None and name in _module(module).definitions


def _path(module: str) -> Path | None:
    base = SOURCE.joinpath(*module.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _module(name: str) -> Module:
    path = _path(name)
    if path is None:
        raise ValueError(f"there is no module {name!r} below {SOURCE}")
    return _parse(name, path)


@functools.cache
def _parse(name: str, path: Path) -> Module:
    definitions: dict[str, list[ast.stmt]] = {}
    imports: dict[str, tuple[str, str | None]] = {}
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for statement in tree.body:
        for defined in _defined_names(statement):
            definitions.setdefault(defined, []).append(statement)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        imports.update(_imported(node, package))
    return Module(definitions, imports)


def _defined_names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
        return [name for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)
                for name in _defined_names(child)]  # fmt: skip
    return []


def _imported(node: ast.AST, package: str) -> dict[str, tuple[str, str | None]]:
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name.partition(".")[0]: (alias.name if alias.asname else
                alias.name.partition(".")[0], None) for alias in node.names if _ours(alias.name)}  # fmt: skip
    if not isinstance(node, ast.ImportFrom):
        return {}
    origin = node.module or ""
    if node.level:
        base = package.split(".")[: len(package.split(".")) - node.level + 1]
        origin = ".".join([*base, *([node.module] if node.module else [])])
    if not _ours(origin):
        return {}
    found: dict[str, tuple[str, str | None]] = {}
    for alias in node.names:
        submodule = f"{origin}.{alias.name}"
        is_module = _path(submodule) is not None
        found[alias.asname or alias.name] = (submodule, None) if is_module else (origin, alias.name)
    return found


def _ours(module: str) -> bool:
    return module == PACKAGE or module.startswith(PACKAGE + ".")


def _statements(module: str, name: str) -> list[ast.stmt]:
    definitions = _module(module).definitions
    if name != "*":
        return definitions.get(name, [])
    unique = {id(statement): statement for statements in definitions.values() for statement in statements}
    return list(unique.values())


def _reached(module: str, statement: ast.stmt) -> list[tuple[str, str]]:
    """Definitions of the package that a statement names: its own module's, imported ones, `module.attribute` chains."""
    known = _module(module)
    reached: list[tuple[str, str]] = []
    inner: set[int] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute):
            chain = _chain(node)
            if chain and chain[0] in known.imports:
                inner.add(id(_root(node)))
                reached.extend(_resolve_chain(known.imports[chain[0]], chain[1:]))
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and id(node) not in inner:
            if node.id in known.definitions:
                reached.append((module, node.id))
            elif node.id in known.imports:
                reached.extend(_resolve_chain(known.imports[node.id], []))
    return reached


def _chain(node: ast.Attribute) -> list[str]:
    names: list[str] = []
    current: ast.expr = node
    while isinstance(current, ast.Attribute):
        names.append(current.attr)
        current = current.value
    return [current.id, *reversed(names)] if isinstance(current, ast.Name) else []


def _root(node: ast.Attribute) -> ast.expr:
    current: ast.expr = node
    while isinstance(current, ast.Attribute):
        current = current.value
    return current


def _resolve_chain(target: tuple[str, str | None], names: list[str]) -> list[tuple[str, str]]:
    """Follow `package.module.name` as far as modules go; a re-exported name is followed to where it is defined."""
    module, name = target
    if name is None:
        while names and _path(f"{module}.{names[0]}") is not None:
            module, names = f"{module}.{names[0]}", names[1:]
        if not names:
            return [(module, "*")]
        name = names[0]
    known = _module(module)
    if name in known.definitions:
        return [(module, name)]
    return _resolve_chain(known.imports[name], []) if name in known.imports else []


class _Bare(ast.NodeTransformer):
    """Drops docstrings, the ones below attributes too."""

    def _body(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        kept = [child for child in node.body if not _is_text(child)]  # type: ignore[attr-defined]
        node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _body


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _bare(statement: ast.stmt) -> ast.stmt:
    """A copy without docstrings. The tree is shared between fingerprints, so it must not be changed in place."""
    return _Bare().visit(ast.parse(ast.unparse(statement)).body[0])
