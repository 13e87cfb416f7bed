"""Every command can be asked for help, and says what it does and what each option means."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from jobs.cli import app

Path = tuple[str, ...]
ROOT = typer.main.get_command(app)


def commands(command: object = ROOT, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every command and group, with the words that reach it."""
    yield path, command
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from commands(child, (*path, name))


ALL = dict(commands())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help(path: Path) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output
    summary = str(getattr(ALL[path], "help", "") or "").strip().splitlines()
    assert summary, f"{' '.join(path)} does not say what it does"
    assert summary[0].split()[0] in result.output


def test_the_words_that_the_product_promises_are_there() -> None:
    promised = {"demo", "up", "ingest", "sql", "status", "explain", "hold", "resume", "rollback", "promote", "drift"}
    assert promised <= {path[0] for path in ALL if len(path) == 1}
    assert {("audit", "verify"), ("policy", "lint"), ("release", "start"), ("incident", "ack")} <= set(ALL)


def test_every_option_is_explained() -> None:
    silent = [
        (" ".join(path), parameter.name)
        for path, command in ALL.items()
        for parameter in getattr(command, "params", [])
        if parameter.param_type_name == "option" and not getattr(parameter, "help", None)
    ]
    assert silent == []


def test_an_unknown_command_is_wrong_use() -> None:
    result = CliRunner().invoke(app, ["promte"])
    assert result.exit_code == 2
    assert "promte" in result.output
