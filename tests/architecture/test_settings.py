"""Settings: options before environment before defaults, a wrong value named, a secret never shown."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from controlplane.settings import DEFAULT_PORT, SettingsError, Workspace, load, shipped_policy


def test_defaults() -> None:
    found = load(env={})
    assert found.workspace.home == Path(".controlplane")
    assert (found.port, found.policy_path, found.slack, found.control_url) == (DEFAULT_PORT, None, None, None)
    assert found.state_url == "sqlite:///.controlplane/state.sqlite"


def test_an_option_beats_the_environment() -> None:
    env = {"CONTROLPLANE_HOME": "/env", "CONTROLPLANE_POLICY": "/env.toml", "CONTROLPLANE_PORT": "0"}
    assert load(env=env).workspace.home == Path("/env")
    assert load(env=env).policy_path == Path("/env.toml")
    assert load(env=env).port == 0
    found = load("/option", "/option.toml", env)
    assert (found.workspace.home, found.policy_path) == (Path("/option"), Path("/option.toml"))
    state = {"CONTROLPLANE_STATE_URL": "postgresql+psycopg://db/state"}
    assert load(env=state).state_url == "postgresql+psycopg://db/state"


@pytest.mark.parametrize("value", ["eighty", "-1", "65536", "80.5", "", " ", "²"])
def test_a_wrong_port_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match=r"CONTROLPLANE_PORT=.*is not a port"):
        load(env={"CONTROLPLANE_PORT": value})


@pytest.mark.parametrize(
    ("given", "missing"), [("SLACK_BOT_TOKEN", "SLACK_CHANNEL"), ("SLACK_CHANNEL", "SLACK_BOT_TOKEN")]
)
def test_half_of_slack_is_refused(given: str, missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{missing} is not set"):
        load(env={given: "x"})


def test_a_secret_is_never_shown() -> None:
    found = load(env={"SLACK_BOT_TOKEN": "xoxb-very-secret", "SLACK_CHANNEL": "C1"})
    assert found.slack is not None
    assert found.slack.token == "xoxb-very-secret"
    assert "xoxb" not in repr(found)


@pytest.mark.parametrize(
    "base", ["http://slack.example/api", "slack.example", "http://[", "ftp://127.0.0.1", "https://"]
)
def test_the_token_of_slack_goes_nowhere_in_the_clear(base: str) -> None:
    given = {"SLACK_BOT_TOKEN": "xoxb-very-secret", "SLACK_CHANNEL": "C1"}
    for good in ("", "https://slack.example/api", "http://127.0.0.1:8080/slack/api", "http://localhost:1"):
        found = load(env={**given, "SLACK_BASE_URL": good}).slack
        assert found is not None
        assert found.base_url == good
    with pytest.raises(SettingsError, match="SLACK_BASE_URL is") as told:
        load(env={**given, "SLACK_BASE_URL": base})
    assert "very-secret" not in str(told.value)


def test_the_ways_in_from_slack_are_secret_and_optional() -> None:
    assert (load(env={}).slack_in.app_token, load(env={}).slack_in.signing_secret) == ("", "")
    found = load(env={"SLACK_APP_TOKEN": " xapp-very-secret\n", "SLACK_SIGNING_SECRET": "8f742231b10e"})
    assert (found.slack_in.app_token, found.slack_in.signing_secret) == ("xapp-very-secret", "8f742231b10e")
    assert "xapp" not in repr(found)
    assert "8f742231b10e" not in repr(found)


def test_a_workspace_secret_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    first = workspace.secret("token")
    assert len(first) >= 32
    assert workspace.secret("token") == first
    assert workspace.secret("hmac_key") != first
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hmac_key", "token"]


def test_a_secret_that_two_make_at_once_is_one(tmp_path: Path) -> None:
    workspaces, gate, made = [Workspace(tmp_path) for _ in range(8)], threading.Barrier(8), []

    def make(workspace: Workspace) -> None:
        gate.wait()
        made.append(workspace.secret("token"))

    threads = [threading.Thread(target=make, args=(workspace,)) for workspace in workspaces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert set(made) == {Workspace(tmp_path).secret("token")}


def test_a_secret_that_was_not_written_to_its_end_is_not_used(tmp_path: Path) -> None:
    """Two processes start at once, or one was killed: an empty token would let everybody in."""
    (tmp_path / "token").write_text("")
    assert len(Workspace(tmp_path).secret("token")) >= 32


def test_a_workspace_is_of_one_kind(tmp_path: Path) -> None:
    home = tmp_path / "work"
    workspace = Workspace(home)
    assert workspace.kind() is None
    workspace.create("demo")
    workspace.create("demo")
    assert workspace.kind() == "demo"
    assert workspace.landing.is_dir()
    with pytest.raises(SettingsError, match="is a demo workspace, not a live one"):
        workspace.create("live")


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(SettingsError, match="not empty"):
        Workspace(tmp_path).create("live")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_shipped_policies_are_found() -> None:
    assert 'name = "default"' in shipped_policy("default")
    assert 'name = "demo"' in shipped_policy("demo")
