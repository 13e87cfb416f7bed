"""People whom alerts reach and who act from a chat or the dashboards: name in the record, role, and by which ids they are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.core.roles import PERMISSIONS, Permission, Role


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on call or in charge. `slack` is the user id of Slack ("U…"), `email` the address that an OpenID provider vouches for; "" without."""

    name: str
    role: Role
    slack: str = ""
    email: str = ""

    def may(self, permission: Permission) -> bool:
        """Whether the person's role has the permission."""
        return permission in PERMISSIONS[self.role]


def of_slack(people: Iterable[Person], user_id: str) -> Person | None:
    """Who presses; None for somebody who is not in the table: without a name there, nobody acts."""
    return next((person for person in people if person.slack and person.slack == user_id), None)


def of_email(people: Iterable[Person], address: str) -> Person | None:
    """Who has logged in with that address, upper and lower case alike; None for somebody who is not in the table."""
    wanted = address.strip().casefold()
    return next((person for person in people if person.email and person.email.casefold() == wanted), None)
