"""The reference page of roles: who may do what, generated from the tables that decide it."""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.core.roles import PERMISSIONS, Permission, Role, able
from controlplane.server.auth import ACTION_PERMISSIONS
from controlplane.settings_dashboards import OIDC, TOKENS, URL
from jobs.asking import ASKS
from jobs.slack_acts import NEEDS
from jobs.slack_request import COMMAND

_WAYS = (
    ("the control API", "a token; who asks for somebody else names that person's role too, and both must allow it"),
    ("Slack", "the member id in `[[people]]` of the alerting file; who is not there can press nothing"),
    ("the command line", "whoever can read the workspace: there is no role, and every act has its `--actor`"),
    (
        "the dashboards, token",
        f"the token of the control API: admin; the tokens of `{TOKENS}`: the role before the colon",
    ),
    ("the dashboards, link", "`controlplane up` and `controlplane demo` print a link that makes an admin, once"),
    (
        "the dashboards, OpenID",
        f"`{OIDC[0]}` and its client (`{OIDC[1]}`, `{OIDC[2]}`; behind a proxy also `{URL}`): the verified e-mail in `[[people]]`; "
        "an address that is not there: viewer",
    ),
    ("the dashboards, nobody logged in", "no role: reads what is published, asks for nothing, changes nothing"),
)


def page() -> str:
    """Roles by permission, then what takes which permission, by where it is asked for."""
    head = ["permission", *Role]
    rows = [[str(item), *("yes" if item in PERMISSIONS[role] else "" for role in Role)] for item in Permission]
    parts = [
        "# Roles",
        "One table for the control API, Slack, the dashboards and their questions. What no role names is refused.",
        _table(head, rows),
        "## How somebody gets a role",
        _table(("where", "by what"), _WAYS),
        "## Actions of the control API",
        _needs({str(action): permission for action, permission in ACTION_PERMISSIONS.items()}, "action"),
        "## Buttons and commands of Slack",
        _needs({name.removeprefix(COMMAND): permission for name, permission in NEEDS.items()}, "button or command"),
        "## What the dashboards ask of the control process",
        "Rows that no snapshot holds, and acts of a person that the role must allow. A task is followed by a bar; signed ones keep who asked.",
        _asks(),
    ]
    return "\n\n".join(parts) + "\n"


def _needs(found: dict[str, Permission], title: str) -> str:
    rows = [(f"`{name}`", permission, _roles(permission)) for name, permission in found.items()]
    return _table((title, "takes", "roles"), rows)


def _asks() -> str:
    rows = [
        (f"`{name}`", ask.permission, _roles(ask.permission), "yes" if ask.long else "", "yes" if ask.signed else "")
        for name, ask in sorted(ASKS.items())
    ]
    return _table(("question", "takes", "roles", "task", "signed"), rows)


def _roles(permission: Permission) -> str:
    return ", ".join(able(permission))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(head)
    lines = [f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles), *rows)]
    return "\n".join(lines)
