"""What a control process leaves in the workspace, and how commands tell a living one from a dead one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.settings import Settings, load
from jobs.process import announce, announced, control_url, left_behind, withdraw

SERVE = """
import sys
from controlplane.settings import load
from jobs.process import announce
announce(load(sys.argv[1], env={}), "http://127.0.0.1:1")
print("announced", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = load(tmp_path / "home", env={})
    found.workspace.create("live")
    return found


def serving(home: Path) -> subprocess.Popen[bytes]:
    """A process that has announced itself and lives until its input ends."""
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"announced\n"
    return process


def test_nothing_is_announced_where_nothing_runs(settings: Settings) -> None:
    assert announced(settings) is None
    assert left_behind(settings) is None
    assert control_url(settings) is None
    withdraw(settings)


def test_the_process_is_found_while_it_serves(settings: Settings) -> None:
    announce(settings, "http://127.0.0.1:1")
    assert announced(settings) == {"url": "http://127.0.0.1:1", "pid": os.getpid()}
    assert control_url(settings) == "http://127.0.0.1:1"
    withdraw(settings)
    assert control_url(settings) is None
    assert not (settings.workspace.home / "control.json").exists()


def test_another_process_is_found_until_it_is_killed(settings: Settings) -> None:
    with serving(settings.workspace.home) as process:
        found = announced(settings)
        assert found is not None
        assert found["pid"] == process.pid
        assert left_behind(settings) is None
        withdraw(settings)  # not ours
        assert announced(settings) == found
        process.kill()
        process.wait()
    assert (settings.workspace.home / "control.json").exists()
    assert announced(settings) is None
    assert left_behind(settings) == process.pid


def test_a_process_id_that_another_program_has_now_is_no_sign_of_life(settings: Settings) -> None:
    left = {"url": "http://127.0.0.1:1", "pid": os.getppid()}
    (settings.workspace.home / "control.json").write_text(json.dumps(left))
    assert announced(settings) is None


def test_a_restart_takes_over_what_a_killed_process_left(settings: Settings) -> None:
    with serving(settings.workspace.home) as process:
        process.kill()
    announce(settings, "http://127.0.0.1:2")
    found = announced(settings)
    withdraw(settings)
    assert found is not None
    assert found["url"] == "http://127.0.0.1:2"


def test_a_torn_announcement_is_none(settings: Settings) -> None:
    (settings.workspace.home / "control.json").write_text('{"url": "http://127')
    assert announced(settings) is None


def test_a_configured_url_wins(settings: Settings, tmp_path: Path) -> None:
    configured = load(tmp_path / "home", env={"CONTROLPLANE_URL": "http://127.0.0.1:9"})
    assert control_url(configured) == "http://127.0.0.1:9"
    assert announced(configured) is None
