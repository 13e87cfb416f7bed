"""Errors of a command as a person meets them: an interrupt that comes while DuckDB works is one too, not a traceback."""

from __future__ import annotations

import duckdb
import pytest
import typer

from jobs.console import INTERRUPTED, OUTSIDE, STOPPED_QUERY, errors_are_messages


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RuntimeError(STOPPED_QUERY), INTERRUPTED, "controlplane: interrupted\n"),
        (duckdb.InterruptException("INTERRUPT Error"), INTERRUPTED, "controlplane: interrupted\n"),
        (duckdb.IOException("disk full"), OUTSIDE, "controlplane: the facts database cannot be used: disk full\n"),
    ],
)
def test_known_errors_are_one_line(error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stopped, errors_are_messages():
        raise error
    assert stopped.value.exit_code == code
    assert capsys.readouterr().err == words


def test_an_unknown_error_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="something else"), errors_are_messages():
        raise RuntimeError("something else")
