"""Environment and options -> frozen settings. The only place that reads environment variables.

Secrets (`SLACK_BOT_TOKEN`, `SLACK_APP_TOKEN`, `SLACK_SIGNING_SECRET`, `CONTROLPLANE_TOKEN`, `CONTROLPLANE_LLM_KEY`) come from the environment
alone; `repr` never shows them.
"""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_HOME = ".controlplane"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORT = 8321
DEFAULT_DASHBOARD_PORT = 8322
ALERT_VARIABLES = (
    "CONTROLPLANE_ALERT_",
    "SLACK_BOT_TOKEN",
    "SLACK_CHANNEL",
    "SLACK_REVIEW_CHANNEL",
    "SLACK_BASE_URL",
)  # beginnings


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder that holds everything of one installation, and the paths in it."""

    home: Path

    @property
    def landing(self) -> Path:
        """Records as they arrived, masked."""
        return self.home / "landing"

    @property
    def facts(self) -> Path:
        """DuckDB file of facts and rollups."""
        return self.home / "facts.duckdb"

    @property
    def state(self) -> Path:
        """SQLite file of the state."""
        return self.home / "state.sqlite"

    @property
    def snapshots(self) -> Path:
        """What dashboards read."""
        return self.home / "snapshots"

    @property
    def reports(self) -> Path:
        """Artefacts of jobs."""
        return self.home / "reports"

    @property
    def models(self) -> Path:
        """Trained classifiers."""
        return self.home / "models"

    @property
    def datasets(self) -> Path:
        """Rows of evaluation data sets, each version under its hash."""
        return self.home / "datasets"

    @property
    def evaluations(self) -> Path:
        """Outcomes of evaluation runs, row by row, under their hash."""
        return self.home / "evaluations"

    @property
    def alerting(self) -> Path:
        """Who is told what, where the workspace has a file of its own for it."""
        return self.home / "alerting.toml"

    @property
    def marker(self) -> Path:
        """Says what kind of workspace this is."""
        return self.home / "workspace.toml"

    def kind(self) -> str | None:
        """`demo` or `live`; None when the folder is not a workspace yet."""
        if not self.marker.exists():
            return None
        try:
            return str(tomllib.loads(self.marker.read_text(encoding="utf-8"))["kind"])
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
            raise SettingsError(
                f'{self.marker} cannot be read ({error}): restore it; it holds one line, kind = "live" or kind = "demo"'
            ) from None

    def create(self, kind: str) -> None:
        """Make the folder a workspace of that kind. Raises SettingsError when it is one of another kind, or holds other things."""
        found = self.kind()
        if found is not None and found != kind:
            raise SettingsError(
                f"{self.home} is a {found} workspace, not a {kind} one: name another folder with --home"
            )
        if found is None and self.home.exists() and any(self.home.iterdir()):
            raise SettingsError(f"{self.home} is not empty and no workspace: name an empty or new folder with --home")
        for folder in (self.home, self.landing, self.snapshots, self.reports, self.models):
            folder.mkdir(parents=True, exist_ok=True)
        if found is None:
            self.marker.write_text(f'kind = "{kind}"\n')

    def secret(self, name: str) -> str:
        """A random secret of this workspace, made once, readable by its owner only."""
        path = self.home / name
        if path.exists() and not path.read_text().strip():
            path.unlink()  # a crash left it empty, and an empty secret would let everybody in
        if not path.exists():
            self._make_secret(path)
        return path.read_text().strip()

    def _make_secret(self, path: Path) -> None:
        """Appears whole or not at all; where two processes make it at once, the first one's counts."""
        draft = self.home / f".{path.name}-{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()


@dataclass(frozen=True, slots=True)
class Slack:
    """Where alerts go when Slack is configured."""

    token: str = field(repr=False)
    channel: str
    base_url: str = ""
    review_channel: str = ""


@dataclass(frozen=True, slots=True)
class SlackIn:
    """How presses and slash commands reach us: by Socket Mode (`app_token`), by signed HTTP (`signing_secret`), by both, or ("") not at all."""

    app_token: str = field(default="", repr=False)
    signing_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class JudgeEndpoint:
    """A language model that judges sampled answers for groundedness, at an endpoint that speaks the OpenAI chat protocol."""

    url: str
    model: str
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a command needs to know about its surroundings."""

    workspace: Workspace
    port: int
    dashboard_port: int
    policy_path: Path | None
    state_url: str
    slack: Slack | None
    control_url: str | None
    judge: JudgeEndpoint | None = None  # None: the detector that ships
    slack_in: SlackIn = field(default_factory=SlackIn)
    alerting_path: Path | None = None  # None: alerting.toml of the workspace, else the one that ships
    alert_variables: Mapping[str, str] = field(default_factory=dict, repr=False)  # what "$NAME" stands for in that file

    @property
    def token(self) -> str:
        """Token of the control API."""
        return os.environ.get("CONTROLPLANE_TOKEN") or self.workspace.secret("token")

    @property
    def hmac_key(self) -> bytes:
        """Key under which raw records are compared; it never leaves the workspace."""
        return self.workspace.secret("hmac_key").encode()


def load(
    home: str | Path | None = None, policy: str | Path | None = None, env: Mapping[str, str] | None = None
) -> Settings:
    """Settings from options first, then the environment, then defaults."""
    values = os.environ if env is None else env
    workspace = Workspace(Path(home or values.get("CONTROLPLANE_HOME") or DEFAULT_HOME))
    policy_name = policy or values.get("CONTROLPLANE_POLICY")
    return Settings(
        workspace=workspace,
        port=_port(values, "CONTROLPLANE_PORT", DEFAULT_PORT),
        dashboard_port=_port(values, "CONTROLPLANE_DASHBOARD_PORT", DEFAULT_DASHBOARD_PORT),
        policy_path=Path(policy_name) if policy_name else None,
        state_url=values.get("CONTROLPLANE_STATE_URL") or f"sqlite:///{workspace.state}",
        slack=_slack(values),
        control_url=values.get("CONTROLPLANE_URL"),
        judge=_judge(values),
        slack_in=SlackIn(values.get("SLACK_APP_TOKEN", "").strip(), values.get("SLACK_SIGNING_SECRET", "").strip()),
        alerting_path=Path(values["CONTROLPLANE_ALERTING"]) if values.get("CONTROLPLANE_ALERTING") else None,
        alert_variables={name: value for name, value in values.items() if name.startswith(ALERT_VARIABLES) and value},
    )


def shipped_policy(name: str) -> str:
    """Text of a policy that ships with the package: `default` or `demo`."""
    return resources.files("controlplane.policies").joinpath(f"{name}.toml").read_text()


def _port(values: Mapping[str, str], name: str, default: int) -> int:
    text = values.get(name, str(default))
    if not text.isdecimal() or not 0 <= int(text) < 65536:
        raise SettingsError(f"{name}={text!r} is not a port: write a number from 0 (any free port) to 65535")
    return int(text)


def _slack(values: Mapping[str, str]) -> Slack | None:
    token, channel = values.get("SLACK_BOT_TOKEN"), values.get("SLACK_CHANNEL")
    if not token and not channel:
        return None
    if not token or not channel:
        missing = "SLACK_BOT_TOKEN" if not token else "SLACK_CHANNEL"
        raise SettingsError(f"{missing} is not set: Slack needs both SLACK_BOT_TOKEN and SLACK_CHANNEL, or neither")
    return Slack(token, channel, _slack_base(values), values.get("SLACK_REVIEW_CHANNEL", ""))


def _slack_base(values: Mapping[str, str]) -> str:
    """The address of another Slack than Slack's own. Raises SettingsError for one to which the token would travel readable by others."""
    base = values.get("SLACK_BASE_URL", "").strip()
    try:
        place = urlsplit(base)
        known = bool(place.hostname)
    except ValueError:
        known = False
    if base and not (known and (place.scheme == "https" or (place.scheme == "http" and place.hostname in _LOOPBACK))):
        raise SettingsError(
            f"SLACK_BASE_URL is {base!r:.100}: it begins with https://, or with http:// on this very machine (127.0.0.1), "
            "because the token goes there; unset it to use Slack itself"
        )
    return base


def _judge(values: Mapping[str, str]) -> JudgeEndpoint | None:
    url, model = values.get("CONTROLPLANE_JUDGE_URL"), values.get("CONTROLPLANE_JUDGE_MODEL")
    if not url and not model:
        return None
    if not url or not model:
        missing = "CONTROLPLANE_JUDGE_MODEL" if url else "CONTROLPLANE_JUDGE_URL"
        raise SettingsError(
            f"{missing} is not set: a judge needs both CONTROLPLANE_JUDGE_URL and CONTROLPLANE_JUDGE_MODEL, or neither"
        )
    return JudgeEndpoint(url, model, values.get("CONTROLPLANE_LLM_KEY", ""))
