"""The demo with Slack configured posts for real: one message for its incident, updated in place, with a thread. Against an independent emulator."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.jobs.living import CONTROLPLANE, environment
from tests.jobs.slack_server import emulated

LONGEST_SECONDS = 1_200  # against waiting for ever; a run takes a minute on an idle machine


@pytest.mark.slow
def test_the_demo_tells_its_incident_in_slack(tmp_path: Path) -> None:
    with emulated() as slack:
        command = [CONTROLPLANE, "demo", "--no-serve", "--json"]
        ran = subprocess.run(
            command,
            env=environment(tmp_path / "home", **slack.surroundings),
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
        )
        assert ran.returncode == 0, ran.stderr
        found = json.loads(ran.stdout.splitlines()[-1])
        history = slack.client.conversations_history(channel=slack.channel, limit=200)["messages"]
        ours = [message for message in history if " ref " in message["text"]]
        (parent,) = ours  # one incident, one message, and nothing else in this channel
        assert parent["text"].startswith("RESOLVED · ")
        assert found["rollback"]["trigger"].replace("_", " ") in parent["text"]
        assert "edited" in parent
        replies = slack.client.conversations_replies(channel=slack.channel, ts=parent["ts"])["messages"][1:]
        thread = "\n".join(message["text"] for message in replies)
        for words in ("cut verified", "acknowledged: on it", "resolved it: knowledge base restored"):
            assert thread.count(words) == 1
        assert (
            tmp_path / "home" / "alerts.txt"
        ).read_text() == ""  # Slack took everything: the console did not stand in
