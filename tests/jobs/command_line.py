"""The command line as a person uses it, in this process: words in, exit code, text and JSON out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import typer
import typer.testing
from typer.testing import CliRunner

from controlplane.settings import shipped_policy
from jobs.cli import app

# The runner builds the whole tree of commands for every call (90 ms of CPU); it is the same each time.
typer.testing._get_command = cache(typer.main.get_command)

SURROUNDINGS = (
    *("CONTROLPLANE_HOME", "CONTROLPLANE_POLICY", "CONTROLPLANE_PORT", "CONTROLPLANE_DASHBOARD_PORT"),
    *("CONTROLPLANE_STATE_URL", "CONTROLPLANE_TOKEN", "CONTROLPLANE_URL", "CONTROLPLANE_LLM_KEY"),
    *("CONTROLPLANE_JUDGE_URL", "CONTROLPLANE_JUDGE_MODEL", "CONTROLPLANE_ALERTING"),
    *("SLACK_BOT_TOKEN", "SLACK_CHANNEL", "SLACK_BASE_URL", "SLACK_REVIEW_CHANNEL"),
    *("SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"),
)

OPEN_POLICY = """
schema = 1
name = "open"
owner = "tests"
baseline = "menu"
[budget]
horizon_weeks = 1
[assignment]
salt = "s"
[watch]
lateness_seconds = 0
client_poll_seconds = 1
probes = 3
[evaluation]
required = false
[[phases]]
name = "ramp"
audience = "eligible"
shares = [0.5, 1.0]
approvals = 1
[[triggers]]
name = "escalation_increase"
metric = "escalation_rate"
kind = "two_sample"
limit = 0.03
weight = 1.0
action = "rollback"
"""


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def everything(self) -> str:
        """Both streams, in lines as long as they were."""
        return self.out + self.err


@dataclass(frozen=True)
class Cli:
    """`controlplane` on one workspace, named by CONTROLPLANE_HOME."""

    home: Path
    surroundings: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *words: str | Path, code: int = 0) -> Said:
        """Run a command; its exit code must be `code`, and an unexpected exception is not hidden."""
        surroundings = {**dict.fromkeys(SURROUNDINGS), "CONTROLPLANE_HOME": str(self.home), **self.surroundings}
        result = CliRunner().invoke(app, [str(word) for word in words], env=surroundings, catch_exceptions=False)
        assert result.exit_code == code, (result.exit_code, result.output)
        return Said(result.exit_code, result.stdout, result.stderr)

    def json(self, *words: str | Path, code: int = 0) -> Any:
        """The JSON object on the last line of stdout."""
        return last_line(self(*words, "--json", code=code).out)

    def one(self, query: str) -> Any:
        """The only value of a query."""
        ((value,),) = self.json("sql", query)["rows"]
        return value

    def refused(self, *words: str | Path, code: int) -> str:
        """The message on stderr of a command that ends with `code` and prints nothing on stdout."""
        said = self(*words, code=code)
        assert said.out == ""
        assert said.err.startswith("controlplane: ")
        assert "Traceback" not in said.err
        return said.err.removeprefix("controlplane: ").strip()

    def start(self, release: str = "v1", policy: Path | None = None, model: str = "m1") -> Any:
        """Start a release made by ben, as ana. Without a policy: the default one, but for the evaluation that it asks for first."""
        if policy is None:
            policy = self.home.parent / "unevaluated.toml"
            policy.write_text(shipped_policy("default").replace("required = true", "required = false"))
        return self.json(
            *("release", "start", release, "--artefact", f"model={model}", "--actor", "ana", "--author", "ben"),
            *("--policy", policy),
        )


def last_line(text: str) -> Any:
    """The last line read as JSON."""
    return json.loads(text.splitlines()[-1])
