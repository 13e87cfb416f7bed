"""Composition root: settings -> open stores -> `Deps`. The only place that decides which concrete parts work together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from controlplane.core.policy import Policy, parse
from controlplane.settings import Settings, SettingsError, load, shipped_policy
from controlplane.store.state import StateReader, StateWriter
from jobs.deps import Deps


def read_policy(settings: Settings) -> Policy:
    """The policy named by option or environment, else the shipped default. Errors name file, line and key."""
    path = settings.policy_path
    if path is None:
        return parse(shipped_policy("default"), "default.toml")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"policy {path} does not exist: name a TOML file with --policy") from None
    except (IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        raise SettingsError(f"policy {path} cannot be read: {error}") from None
    return parse(text, str(path))


def policy_in_force(settings: Settings, state: StateReader) -> Policy:
    """The policy of the running rollout (its registered text), whatever is named now; without one the policy that is named.

    One rollout is judged and served by one policy, so a file or variable that names another waits for the next release.
    """
    rollout = state.rollout()
    if rollout is None:
        return read_policy(settings)
    return registered_policy(state, rollout.policy_hash, rollout.rollout_id)


def registered_policy(state: StateReader, policy_hash: str, rollout_id: str = "") -> Policy:
    """A policy by its hash, as it was accepted. Raises SettingsError (with the rollout, where one is named) when its text is not in the record."""
    text = state.policy_text(policy_hash)
    if text is None:
        of = f" of {rollout_id}" if rollout_id else ""
        raise SettingsError(f"policy {policy_hash[:12]}{of} is not registered: restore the state")
    return parse(text, f"policy {policy_hash[:12]}", in_force=True)


def workspace_settings(
    home: str | None, policy: str | None = None, *, must_exist: bool = False, kind: str = "live"
) -> Settings:
    """Settings of a workspace, made as `kind` when it is new. A demo workspace can be looked at and acted on like any other."""
    settings = load(home, policy)
    found = settings.workspace.kind()
    if found is None and must_exist:
        raise SettingsError(
            f"{settings.workspace.home} is no workspace yet: start with `controlplane up`, `ingest` or `demo`, or name one with --home"
        )
    if found is None:
        settings.workspace.create(kind)
    return settings


@contextmanager
def open_state(settings: Settings, now: datetime) -> Iterator[StateWriter]:
    """The state for a person's command or a job."""
    state = StateWriter(settings.state_url)
    try:
        state.migrate(now)
        yield state
    finally:
        state.close()


def follow_policy(deps: Deps) -> None:
    """Judge a rollout by its own policy, also one that was started, or given another policy, while this process ran."""
    rollout = deps.state.rollout()
    if rollout is not None and rollout.policy_hash != deps.policy.hash:
        deps.policy = policy_in_force(deps.settings, deps.state)
