"""How commands speak: one JSON object for machines, sentences for people, errors on stderr with an exit code.

Exit codes: 0 done, 1 refused or found something wrong, 2 wrong use or bad input, 3 something outside failed, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console

P = ParamSpec("P")
R = TypeVar("R")

REFUSED, BAD_INPUT, OUTSIDE, INTERRUPTED = 1, 2, 3, 130
STOPPED_QUERY = "Query interrupted"  # what DuckDB makes of an interrupt that comes while it works: a RuntimeError

stderr = Console(stderr=True)

Home = Annotated[
    str | None, typer.Option("--home", help="Workspace folder (or CONTROLPLANE_HOME; default ./.controlplane).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line, for machines.")]


def _said(value: str) -> str:
    """The record must name somebody: an empty name would count as an approver and say nothing to an auditor."""
    if not value.strip():
        raise typer.BadParameter("it is written to the audit log and must not be empty")
    return value.strip()


Actor = Annotated[str, typer.Option("--actor", callback=_said, help="Who does this; written to the audit log.")]
Reason = Annotated[str, typer.Option("--reason", callback=_said, help="Why; written to the audit log.")]


def clock() -> datetime:
    """The real time, aware UTC: commands are the edge where a clock may be read."""
    return datetime.now(UTC)


def show(value: Mapping[str, Any], as_json: bool, text: str = "") -> None:
    """Print the result."""
    print(json.dumps(value, default=plain) if as_json else text, flush=True)


def plain(value: object) -> str:
    """What JSON lacks as text; times as everywhere else, ISO-8601 with Z."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def can_write(path: Path | None) -> None:
    """End before the work rather than after it where a report could not be written; None: none is asked for."""
    if path is None:
        return
    if path.is_dir():
        fail(f"{path} is a folder; name a file in it", BAD_INPUT)
    if not path.absolute().parent.is_dir():
        fail(f"{path} cannot be written: there is no folder {path.absolute().parent}; make it first", BAD_INPUT)


def fail(message: str, code: int) -> NoReturn:
    """Say what went wrong and end with the code."""
    print(f"controlplane: {message}", file=sys.stderr, flush=True)
    raise typer.Exit(code)


@contextmanager
def errors_are_messages() -> Iterator[None]:
    """Known errors become one clear message and an exit code; unknown ones keep their traceback."""
    try:
        yield
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    except typer.Exit:
        raise
    except Exception as error:
        known = _message_and_code(error)
        if known is None:
            raise
        fail(*known)


def _message_and_code(error: Exception) -> tuple[str, int] | None:
    """What to say about a known error. The modules that name the errors are loaded only now: a command that goes well needs few."""
    import duckdb
    from sqlalchemy.exc import ArgumentError, DatabaseError

    from controlplane.core.acceptance_file import CriteriaError
    from controlplane.core.policy import PolicyError
    from controlplane.evaluation.cases import CaseError
    from controlplane.server.serve import ServerError
    from controlplane.settings import SettingsError
    from controlplane.store.content_files import ContentError
    from controlplane.store.landing import LandingError
    from controlplane.store.state_claims import FencedOff
    from controlplane.store.warehouse import WarehouseError
    from jobs.actions import Refused
    from jobs.sql_command import QueryFailed

    files = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
    match error:
        case Refused() | ContentError():
            return str(error), REFUSED
        case CriteriaError() | CaseError():
            return str(error), BAD_INPUT
        case PolicyError() | SettingsError() | QueryFailed() | UnicodeDecodeError():
            return str(error), BAD_INPUT
        case _ if isinstance(error, files):
            return str(error), BAD_INPUT
        case ArgumentError():
            return f"CONTROLPLANE_STATE_URL cannot be used: {error}", BAD_INPUT
        case FencedOff() | LandingError() | ServerError() | WarehouseError():
            return str(error), OUTSIDE
        case DatabaseError():
            return f"the state database cannot be used: {error.orig}", OUTSIDE
        case duckdb.InterruptException():
            return "interrupted", INTERRUPTED
        case RuntimeError() if str(error) == STOPPED_QUERY:
            return "interrupted", INTERRUPTED
        case duckdb.IOException():
            return f"the facts database cannot be used: {error}", OUTSIDE
        case _:
            return None


def command(function: Callable[P, R]) -> Callable[P, R]:
    """A command whose known errors are messages."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with errors_are_messages():
            return function(*args, **kwargs)

    return wrapped
