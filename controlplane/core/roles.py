"""Who may do what, in one table for the control API, Slack, the dashboards and the command line: a role has permissions. Deny by default.

| role | flags | send | look | query facts | make safer | respond | label answers | grow | sign |
|---|---|---|---|---|---|---|---|---|---|
| producer | x | x | | | | | | | |
| viewer | x | | x | | | | | | |
| operator | x | x | x | x | x | x | x | | |
| approver, admin | x | x | x | x | x | x | x | x | x |

Safer: hold, roll back, switch execution off. Respond: acknowledge, silence. Grow: resume, promote, override.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do: a token of the control API, a person in Slack, a user of the dashboards."""

    PRODUCER = "producer"
    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


class Permission(StrEnum):
    """What an act asks for."""

    FLAGS = "read flags"
    SEND = "send records"
    LOOK = "look at status and metrics"
    QUERY = "query facts"
    CONTAIN = "make the rollout safer"
    RESPOND = "work on incidents and silence alerts"
    LABEL = "label answers"
    GROW = "let the rollout grow"
    SIGN = "sign reviews"


_LOOK = frozenset({Permission.FLAGS, Permission.LOOK})
_OPERATE = _LOOK | {Permission.SEND, Permission.QUERY, Permission.CONTAIN, Permission.RESPOND, Permission.LABEL}
PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.PRODUCER: frozenset({Permission.FLAGS, Permission.SEND}),
    Role.VIEWER: _LOOK,
    Role.OPERATOR: _OPERATE,
    Role.APPROVER: _OPERATE | {Permission.GROW, Permission.SIGN},
    Role.ADMIN: frozenset(Permission),
}


def able(permission: Permission) -> tuple[Role, ...]:
    """The roles that have a permission."""
    return tuple(role for role in Role if permission in PERMISSIONS[role])
