"""Who is in front of the page, and what the table of roles lets that person do. The pages only ask `may`; who somebody is, is settled here."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.core.roles import PERMISSIONS, Permission, Role
from dashboards.config import Config


@dataclass(frozen=True)
class Person:
    """Somebody who looks. `role` None: nobody has logged in, so everything is read-only. `name` may be "" where only a token is known."""

    name: str = ""
    role: Role | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the person may do it here."""
        return self.role is not None and permission in PERMISSIONS[self.role]


NOBODY = Person()


def current(config: Config) -> Person:
    """Who is in front of the page now."""
    return Person(role=Role.ADMIN) if config.may_act else NOBODY
