"""Policies that commands name: a file, or `in-force` for the workspace's."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from controlplane.core.policy import Policy, parse
from controlplane.settings import SettingsError

IN_FORCE = "in-force"


def policy_text(file: Path) -> str:
    """The text of a policy file. SettingsError names the file and why it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")  # editors that begin a text with a mark of its encoding
    except FileNotFoundError:
        raise SettingsError(
            f"policy {file} cannot be read: it does not exist; name a TOML file, or {IN_FORCE}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"policy {file} cannot be read: {why}") from None


def named_policy(name: str | None, home: str | None, now: datetime) -> Policy:
    """The policy of a file; of `in-force` or None the workspace's: its rollout's, else the one it is set up with, else the shipped default."""
    if name is not None and name != IN_FORCE:
        return parse(policy_text(Path(name)), name)
    from jobs.compose import open_state, policy_in_force, workspace_settings

    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        return policy_in_force(settings, state)
