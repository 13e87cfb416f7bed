"""Files and functions stay small enough to be read at once, and every module says what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("controlplane", "jobs", "alerts", "dashboards")
CODE_LINES, TEST_LINES, FUNCTION_LINES = 400, 600, 60


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def long_functions(source: str, limit: int) -> list[tuple[str, int]]:
    """Name and length of every function of more than `limit` lines, from `def` to its last line."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in functions]
    return [(name, length) for name, length in lengths if length > limit]


def says_what_it_is(source: str) -> bool:
    """Whether a module has a docstring; an empty one needs none."""
    tree = ast.parse(source)
    return not tree.body or bool(ast.get_docstring(tree))


def test_there_is_something_to_measure() -> None:
    for package in PACKAGES:
        assert modules(package), package


def test_no_file_is_too_long() -> None:
    found = {str(p.relative_to(ROOT)): lines(p) for p in modules(*PACKAGES) if lines(p) > CODE_LINES}
    found |= {str(p.relative_to(ROOT)): lines(p) for p in modules("tests") if lines(p) > TEST_LINES}
    assert found == {}


def test_no_function_is_too_long() -> None:
    found = {
        str(path.relative_to(ROOT)): long
        for path in modules(*PACKAGES)
        if (long := long_functions(path.read_text(encoding="utf-8"), FUNCTION_LINES))
    }
    assert found == {}


def test_every_module_says_what_it_is() -> None:
    silent = [path for path in modules(*PACKAGES) if not says_what_it_is(path.read_text(encoding="utf-8"))]
    assert [str(path.relative_to(ROOT)) for path in silent] == []


def test_every_query_says_what_it_answers() -> None:
    queries = sorted((ROOT / "sql").rglob("*.sql"))
    assert queries
    silent = []
    for path in queries:
        head, *body = path.read_text(encoding="utf-8").splitlines()
        if not (head.startswith("-- ") and len(head) > 15 and any(not line.startswith("--") for line in body)):
            silent.append(str(path.relative_to(ROOT)))
    assert silent == []


@pytest.mark.parametrize("path", modules("tests"), ids=lambda path: str(path.relative_to(ROOT)))
def test_test_modules_are_no_package(path: Path) -> None:
    """With importlib mode every test file stands alone; an `__init__.py` would make names clash."""
    assert path.name != "__init__.py"


def test_the_measures_measure() -> None:
    body = "\n".join("    x = 1" for _ in range(60))
    assert long_functions(f"def f():\n{body}\n", 60) == [("f", 61)]
    assert long_functions(f"class C:\n async def g(self):\n{body.replace('    ', '      ')}\n", 60) == [("g", 61)]
    assert long_functions(f"def f():\n{body}\n", 61) == []
    assert not says_what_it_is("import os\n")
    assert says_what_it_is('"""A module."""\nimport os\n')
