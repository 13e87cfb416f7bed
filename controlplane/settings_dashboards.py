"""How the dashboards are served: their address, who may log in and how. Read from the environment, checked before anything starts.

| variable | meaning |
|---|---|
| CONTROLPLANE_DASHBOARD_URL | where people reach them when not on this machine, such as `https://dash.example.com`; messages link there |
| CONTROLPLANE_DASHBOARD_TOKENS | further tokens: `viewer:TOKEN operator:TOKEN approver:TOKEN` (the control API's own is an admin's) |
| CONTROLPLANE_OIDC_ISSUER, _CLIENT_ID, _CLIENT_SECRET | an OpenID provider; an e-mail address finds person and role in the alerting file |
| CONTROLPLANE_OIDC_NAME | what the button calls it, such as "Example Bank" |
| CONTROLPLANE_DASHBOARD_CODE | set by who starts them: the code of the link that logs in an admin once |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from controlplane.core.roles import Role
from controlplane.settings import SettingsError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHORTEST = 16
YOURS = "your organisation"
URL = "CONTROLPLANE_DASHBOARD_URL"
TOKENS = "CONTROLPLANE_DASHBOARD_TOKENS"
CODE = "CONTROLPLANE_DASHBOARD_CODE"
OIDC = ("CONTROLPLANE_OIDC_ISSUER", "CONTROLPLANE_OIDC_CLIENT_ID", "CONTROLPLANE_OIDC_CLIENT_SECRET")


@dataclass(frozen=True, slots=True)
class Oidc:
    """An OpenID provider that says who somebody is."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str = YOURS

    @property
    def metadata_url(self) -> str:
        """Where the provider describes itself (OpenID Connect Discovery 1.0, section 4)."""
        return f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Serving:
    """Everything the dashboards' server must know beyond the workspace."""

    url: str | None = None
    tokens: Mapping[str, Role] = field(default_factory=dict, repr=False)
    oidc: Oidc | None = None
    code: str = field(default="", repr=False)

    @property
    def hosts(self) -> frozenset[str]:
        """Names under which a browser may ask: those of this machine, and the configured one."""
        named = urlsplit(self.url).hostname if self.url else None
        return frozenset(LOOPBACK) | ({named} if named else frozenset())

    @property
    def https(self) -> bool:
        """Whether people come over TLS, so that cookies never travel without."""
        return bool(self.url and self.url.startswith("https://"))


def read(values: Mapping[str, str]) -> Serving:
    """From environment variables. Raises SettingsError naming the variable and what to write."""
    return Serving(dashboard_url(values), _tokens(values), _oidc(values), values.get(CODE, ""))


def dashboard_url(values: Mapping[str, str]) -> str | None:
    """The public address without a slash at the end; None where it is this machine. Raises SettingsError."""
    text = values.get(URL, "").strip().rstrip("/")
    if text:
        _address(URL, text, path=False)
    return text or None


def _address(name: str, text: str, *, path: bool) -> None:
    """Raises SettingsError for what is no https address (http only on this machine)."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(f"{name} is {text!r:.100}: that is no address; write https://HOST") from None
    secure = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if not (host and secure and plain and (path or not parts.path)):
        ending = "" if path else ", without a path"
        raise SettingsError(
            f"{name} is {text!r:.100}: it begins with https:// (http:// only for this very machine) and names a host{ending}"
        )


def _tokens(values: Mapping[str, str]) -> dict[str, Role]:
    found: dict[str, Role] = {}
    roles = {str(role): role for role in Role if role is not Role.PRODUCER}
    for part in values.get(TOKENS, "").replace(",", " ").split():
        role, _, token = part.partition(":")
        if role not in roles:
            raise SettingsError(
                f"{TOKENS}: {role!r:.50} is no role of the dashboards; write ROLE:TOKEN with {', '.join(roles)}"
            )
        if len(token) < SHORTEST:
            raise SettingsError(
                f"{TOKENS}: the token for {role} has less than {SHORTEST} characters; make a longer one"
            )
        if token in found:
            raise SettingsError(f"{TOKENS}: one token stands for {found[token]} and {role}; give each role its own")
        found[token] = roles[role]
    return found


def _oidc(values: Mapping[str, str]) -> Oidc | None:
    issuer, client_id, client_secret = given = [values.get(name, "").strip() for name in OIDC]
    if not any(given):
        return None
    missing = [name for name, value in zip(OIDC, given, strict=True) if not value]
    if missing:
        raise SettingsError(f"{missing[0]} is not set: a provider needs all of {', '.join(OIDC)}, or none")
    _address(OIDC[0], issuer, path=True)
    return Oidc(issuer, client_id, client_secret, values.get("CONTROLPLANE_OIDC_NAME", "").strip() or YOURS)
