"""What the sources must not do: read the world inside the core, or build SQL from strings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "controlplane" / "core"
PACKAGES = ("controlplane", "jobs", "alerts", "dashboards")

# Anything that reads a clock, a file, the network, the environment, randomness, or keeps state outside of values.
IMPURE = {
    *("asyncio", "builtins", "concurrent", "contextvars", "ctypes", "fcntl", "getpass", "glob", "http", "importlib"),
    *("inspect", "io", "locale", "logging", "mmap", "multiprocessing", "os", "pathlib", "pickle", "platform", "pwd"),
    *("queue", "random", "sched", "secrets", "select", "shelve", "shutil", "signal", "smtplib", "socket", "sqlite3"),
    *("ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid", "warnings", "zoneinfo"),
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__", "globals", "breakpoint"}
IMPURE_ATTRIBUTES = {"now", "utcnow", "today", "urandom", "default_rng", "RandomState"}


def sources(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def impurities(source: str) -> list[str]:
    """Impure imports and calls of a module."""
    tree = ast.parse(source)
    found = sorted(name for name in imported(tree) if name.split(".")[0] in IMPURE)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in IMPURE_CALLS:
                found.append(f"{called.id}()")
            if isinstance(called, ast.Attribute) and called.attr in IMPURE_ATTRIBUTES:
                found.append(f".{called.attr}()")
        if isinstance(node, ast.Global):
            found.append("global")
    return found


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_is_pure(path: Path) -> None:
    assert impurities(path.read_text(encoding="utf-8")) == []


def test_the_core_imports_nothing_of_ours_but_itself() -> None:
    for path in sources(CORE):
        names = imported(ast.parse(path.read_text(encoding="utf-8")))
        ours = {name for name in names if name.split(".")[0] in PACKAGES}
        assert all(name == "controlplane.core" or name.startswith("controlplane.core.") for name in ours), path


def test_decoders_open_nothing() -> None:
    for path in sources(ROOT / "controlplane" / "ingest"):
        assert not {"open()"} & set(impurities(path.read_text(encoding="utf-8"))), path


RUNS_SQL = {"execute", "executemany", "executescript", "exec_driver_sql", "sql", "read_sql", "read_database"}


def is_built(value: ast.expr, known: dict[str, list[ast.expr]], depth: int = 0) -> bool:
    """Whether an expression puts a text together from parts, as far as one module can tell."""
    match value:
        case ast.JoinedStr():
            return any(isinstance(part, ast.FormattedValue) for part in value.values)
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return True
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "replace" | "format_map" | "substitute")):
            return True
        case ast.IfExp():
            return is_built(value.body, known, depth) or is_built(value.orelse, known, depth)
        case ast.Name() if depth < 3:
            return any(is_built(found, known, depth + 1) for found in known.get(value.id, []))
        case _:
            return False


def scopes(tree: ast.Module) -> Iterator[ast.Module | ast.FunctionDef | ast.AsyncFunctionDef]:
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def built_sql(source: str) -> list[int]:
    """Lines on which a text that was put together from parts is run as SQL."""
    found = []
    for scope in scopes(ast.parse(source)):
        known: dict[str, list[ast.expr]] = {}
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        known.setdefault(target.id, []).append(node.value)
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                known.setdefault(node.target.id, []).append(ast.BinOp(node.target, ast.Add(), node.value))
        for node in ast.walk(scope):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in RUNS_SQL and is_built(node.args[0], known):
                found.append(node.lineno)
    return sorted(set(found))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_sql_is_built_from_strings(package: str) -> None:
    found = {
        str(path.relative_to(ROOT)): built
        for path in sources(ROOT / package)
        if (built := built_sql(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        'c.execute(f"SELECT {x}")',
        'c.execute("SELECT %s" % x)',
        'c.execute("SELECT " + x)',
        'c.execute("SELECT {}".format(x))',
        'c.execute(" ".join(parts))',
        'c.execute("SELECT 1" if y else f"SELECT {x}")',
        'q = f"SELECT {x}"; c.execute(q)',
        'q = "SELECT "; q += x; c.sql(q)',
        'q = "SELECT " + x; p = q; c.executemany(p, rows)',
    ],
)
def test_the_search_for_built_sql_finds_it(line: str) -> None:
    assert built_sql(f"def f(c, x, y, parts, rows):\n    {line}\n") == [2]


@pytest.mark.parametrize(
    "line", ['c.execute(load("a/b"), [x])', 'c.execute("SELECT ?", [x])', 'c.execute(load(f"a/{x}"))', 'log(f"{x}")']
)
def test_the_search_for_built_sql_leaves_the_rest_alone(line: str) -> None:
    assert built_sql(f"def f(c, x):\n    {line}\n") == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import os", ["os"]),
        ("from time import monotonic", ["time"]),
        ("from concurrent.futures import Future", ["concurrent.futures"]),
        ("x = datetime.now(UTC)", [".now()"]),
        ("x = open('y')", ["open()"]),
        ("x = np.random.default_rng()", [".default_rng()"]),
        ("import math", []),
        ("def f(now): return now", []),
    ],
)
def test_the_search_for_impurities_finds_them(line: str, found: list[str]) -> None:
    assert impurities(line) == found
