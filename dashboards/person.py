"""Who is in front of the page, and what the table of roles lets that person do. The pages only ask `may`; who somebody is, is settled here.

Nobody is anybody before logging in: with a token or the one-time link (`dashboards.door.sessions`), or through an OpenID provider (`st.login`), whose
e-mail address finds the person and role in the alerting file, the same table that Slack uses. An address that is not there may look.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from alerts import people
from alerts.config import load
from alerts.config_values import AlertingError
from controlplane.core.roles import PERMISSIONS, Permission, Role
from controlplane.settings import Workspace
from controlplane.settings_dashboards import Oidc, Serving
from dashboards.config import Config
from dashboards.door.sessions import LIFE_SECONDS, Door

log = logging.getLogger("controlplane.dashboards")

COOKIE_SECRET = "dashboard_cookie"


@dataclass(frozen=True)
class Person:
    """Somebody who looks. `role` None: nobody has logged in, so everything is read-only. `name` may be "" where only a token is known.

    `provider`: it was an OpenID provider that said who it is.
    """

    name: str = ""
    role: Role | None = None
    provider: bool = False

    def may(self, permission: Permission) -> bool:
        """Whether the person may do it here."""
        return self.role is not None and permission in PERMISSIONS[self.role]


NOBODY = Person()


@dataclass(frozen=True)
class Standing:
    """The door of this server: sessions, the name of their cookie, and the provider where there is one."""

    door: Door
    cookie: str
    oidc: Oidc | None = None


_standing: list[Standing] = []  # the server's, one a process; none where pages run without it (a test, a script)


def open_door(serving: Serving, config: Config, port: int) -> Standing:
    """Make the door of this process. Cookies don't know ports, so the cookie's name does: two dashboards on one host stay apart."""
    tokens = dict(serving.tokens) | ({config.token: Role.ADMIN} if config.token else {})
    door = Door(tokens if config.may_act else {}, time.monotonic, serving.code if config.may_act else "")
    _standing[:] = [Standing(door, f"controlplane_session_{port}", serving.oidc)]
    return _standing[0]


def standing() -> Standing | None:
    """The door of this process; None where pages run without their server."""
    return _standing[0] if _standing else None


def secrets(serving: Serving, config: Config, port: int) -> dict[str, Any] | None:
    """What `st.login` is told of the provider; None without one. The key of its cookie is made once and kept in the workspace."""
    if serving.oidc is None:
        return None
    return {
        "auth": {
            "redirect_uri": f"{serving.url or f'http://127.0.0.1:{port}'}/oauth2callback",
            "cookie_secret": Workspace(config.home).secret(COOKIE_SECRET),
            "client_id": serving.oidc.client_id,
            "client_secret": serving.oidc.client_secret,
            "server_metadata_url": serving.oidc.metadata_url,
        }
    }


def can_log_in(config: Config) -> bool:
    """Whether there is a way to become somebody here."""
    found = standing()
    return config.may_act and found is not None and (found.door.opens or found.oidc is not None)


def current(config: Config) -> Person:
    """Who is in front of the page now. Without a control process nobody can act, so nobody is asked who they are."""
    if not config.may_act:
        return NOBODY
    found = standing()
    if found is None:
        return Person(role=config.role)
    session = found.door.who(st.context.cookies.get(found.cookie))
    if session is not None:
        return Person(session.name, session.role)
    if found.oidc is not None and st.user.is_logged_in and is_recent(st.user.to_dict(), time.time()):
        return of_claims(st.user.to_dict(), config)
    return NOBODY


def log_in_where_asked(config: Config) -> None:
    """`/?log_in=on` goes on to the provider; the page of the door links there."""
    if "log_in" not in st.query_params:
        return
    del st.query_params["log_in"]
    found = standing()
    if found is not None and found.oidc is not None and current(config).role is None:
        st.login()


def is_recent(claims: Mapping[str, Any], now: float) -> bool:
    """Whether the provider said so within the life of a session (`iat`, seconds since 1970). Streamlit's own cookie would do for 30 days."""
    issued = claims.get("iat")
    return isinstance(issued, int | float) and now - issued < LIFE_SECONDS


def of_claims(claims: Mapping[str, Any], config: Config) -> Person:
    """The person with the e-mail address that the provider vouches for; who is not in the table of people may look."""
    address = str(claims.get("email") or "").strip()
    person = people.of_email(_people(config), address) if _vouched(claims) else None
    if person is not None:
        return Person(person.name, person.role, provider=True)
    return Person(address or str(claims.get("name") or ""), Role.VIEWER, provider=True)


def _vouched(claims: Mapping[str, Any]) -> bool:
    """Whether the provider says that the address is that person's (OpenID Connect Core 1.0, section 5.1); Entra ID says it as `xms_edov`.

    Silence is no yes: there are providers where anybody may write any address into their own profile.
    """
    return any(claims.get(name) in (True, "true", "1") for name in ("email_verified", "xms_edov"))


def _people(config: Config) -> tuple[people.Person, ...]:
    path = config.alerting
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError, AlertingError) as error:
        if path.exists():  # a table that cannot be read gives nobody a role; the control process says what to mend
            log.warning("no roles from %s: %s", path.name, error)
        return ()


@lru_cache(maxsize=1)
def _read(path: Path, _modified_ns: int) -> tuple[people.Person, ...]:
    return load(path.read_text(encoding="utf-8"), str(path)).people
