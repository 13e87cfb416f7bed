"""Which token has which role; what a role may do is the table of `controlplane.core.roles`. Deny by default.

Tokens are compared by their hashes, in constant time and against every entry, so an answer's timing says nothing about them.
Who acts for somebody else (the dashboards for the person before them) names that person's role in `X-Controlplane-Role`: a request
may do what both the token's role and that role may do, never more.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from starlette.requests import Request

from controlplane.core.roles import PERMISSIONS as PERMISSIONS
from controlplane.core.roles import Permission as Permission
from controlplane.core.roles import Role, able
from controlplane.server.edge import ApiError
from controlplane.server.services import ControlAction

ACTION_PERMISSIONS: Mapping[ControlAction, Permission] = {
    ControlAction.HOLD: Permission.CONTAIN,
    ControlAction.ROLLBACK: Permission.CONTAIN,
    ControlAction.DISABLE_EXECUTION: Permission.CONTAIN,
    ControlAction.RESUME: Permission.GROW,
    ControlAction.PROMOTE: Permission.GROW,
    ControlAction.ENABLE_EXECUTION: Permission.GROW,
}


ON_BEHALF = "x-controlplane-role"


class Doorkeeper:
    """Knows the tokens (as hashes) and their roles."""

    def __init__(self, tokens: Mapping[str, Role]) -> None:
        """Raises ValueError for a token of less than 8 characters: guessing it would be too easy."""
        if any(len(token) < 8 for token in tokens):
            raise ValueError("a token of the control API has less than 8 characters; make a longer one")
        self._roles = [(_digest(token.encode()), role) for token, role in tokens.items()]

    def admit(self, request: Request, permission: Permission, *, api_key: bool = False) -> Role:
        """The role of the request's token. Raises ApiError 401 without a known token, 403 without the permission.

        `api_key` also accepts the header X-API-Key, as OFREP has it.
        """
        role = self._role_of(_token(request, api_key))
        if role is None:
            raise ApiError(
                401,
                "unauthorized",
                "a known token is needed: send it as 'Authorization: Bearer TOKEN'",
                headers={"WWW-Authenticate": 'Bearer realm="controlplane"'},
            )
        require(role, permission)
        return _on_behalf(request, role, permission)

    def _role_of(self, token: bytes) -> Role | None:
        given, found = _digest(token), None
        for digest, role in self._roles:
            if hmac.compare_digest(given, digest):
                found = role
        return found


def _on_behalf(request: Request, role: Role, permission: Permission) -> Role:
    """The role of the person whom the request is for; the token's own where none is named. Raises ApiError 403 without the permission."""
    named = request.headers.get(ON_BEHALF)
    if named is None:
        return role
    person = next((known for known in Role if known == named), None)
    if person is None:
        raise ApiError(403, "forbidden", f"there is no role '{named[:50]}'; roles: {', '.join(Role)}")
    require(person, permission, "you have")
    return person


def require(role: Role, permission: Permission, who: str = "this token has") -> None:
    """Raises ApiError 403, naming the roles that would do, when the role lacks the permission."""
    if permission in PERMISSIONS[role]:
        return
    enough = " or ".join(able(permission))
    raise ApiError(
        403,
        "forbidden",
        f"to {permission} takes the role {enough}; {who} the role {role}",
        more={"role": role},
    )


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _token(request: Request, api_key: bool) -> bytes:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip().encode("latin-1")
    return request.headers.get("x-api-key", "").encode("latin-1") if api_key else b""
