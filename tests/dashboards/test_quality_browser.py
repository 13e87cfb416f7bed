"""Answers are labelled by keyboard alone, in a real browser, up to the state of the control process."""

from __future__ import annotations

from pathlib import Path

from jobs.control import Control
from tests.dashboards.browser import PATIENCE_MS, TOKEN, Watched, chromium, needs_chromium, served

pytestmark = needs_chromium


def test_one_answer_after_the_other_by_keyboard(full_home: Path, full_control: Control) -> None:
    state = full_control.deps.state
    with served(full_home, full_control.server.url, TOKEN) as url, chromium() as browser:
        seen = Watched(browser, url)
        page = seen.open("quality?view=label")
        page.get_by_label("Your name").fill("rita")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=One answer", timeout=PATIENCE_MS)
        seen.settled()
        page.keyboard.press("Tab")  # out of the field with the name
        first = page.inner_text(".cp-bubble.cp-answer")
        page.keyboard.press("2")
        page.wait_for_selector("text=Incorrect, recorded.", timeout=PATIENCE_MS)
        seen.settled()
        assert page.inner_text(".cp-bubble.cp-answer") != first or "1 done now" in page.inner_text(".cp-head >> nth=-1")
        note = page.get_by_label("Why (optional, goes into the audit log)")
        note.press_sequentially("it asked back, 1 time")  # key by key: neither a digit nor an s in a text is a command
        page.keyboard.press("Tab")
        page.keyboard.press("1")
        page.wait_for_selector("text=Correct, recorded.", timeout=PATIENCE_MS)
        seen.settled()
        seen.picture("quality-label")
        said = [one for rounds in state.review_opinions().values() for one in rounds.values()]
        assert sorted((one.reviewer, one.label, one.note) for one in said) == [
            ("rita", "correct", "it asked back, 1 time"),
            ("rita", "incorrect", ""),
        ]
        seen.clean()
