"""Against an independent Slack emulator: what only the person who pressed is told."""

import backlot
import pytest
from slack_sdk import WebClient

from jobs.slack_answer import Answers


@pytest.mark.slow  # the emulator takes its time to start
def test_an_answer_is_seen_by_one_person_and_is_no_message_of_the_channel(emulator: backlot.Server) -> None:
    base = f"{emulator.base_url}/slack/api"
    client = WebClient(token=emulator.token, base_url=f"{base}/", retry_handlers=[])
    channel = str(client.conversations_list()["channels"][0]["id"])
    person = str(client.conversations_members(channel=channel)["members"][0])
    before = client.conversations_history(channel=channel)["messages"]
    answers = Answers(emulator.token, base, channel)
    assert answers.tell(person, "thank you, Kim: v1-12ab-v3 is yours")
    assert client.conversations_history(channel=channel)["messages"] == before
    assert not answers.tell("U0NOBODY00", "x")
    assert not Answers("xoxb-wrong", base, channel).tell(person, "x")
    assert not answers.open_form("t1", {"type": "modal"})
