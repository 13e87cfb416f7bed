"""Wires the Slack desk into a control process: what is listened to follows from the environment, and is said at the start in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

from controlplane.server.services import SlackDoor
from controlplane.settings import Settings
from jobs.console import stderr
from jobs.deps import Deps
from jobs.slack_answer import Answers
from jobs.slack_work import Desk

INTERACTIONS, COMMANDS = "/v1/slack/interactions", "/v1/slack/commands"


def desk_of(deps: Deps, clock: Callable[[], datetime]) -> Desk | None:
    """The desk of a process that listens to Slack; None where nothing, or only half of it, is configured."""
    slack, ways = deps.settings.slack, deps.settings.slack_in
    if slack is None or not (ways.app_token or ways.signing_secret):
        return None
    return Desk(deps, Answers(slack.token, slack.base_url, slack.channel), clock)


def door_of(settings: Settings, desk: Desk | None) -> SlackDoor | None:
    """The way in by signed HTTP; None without a signing secret."""
    secret = settings.slack_in.signing_secret
    return None if desk is None or not secret else SlackDoor(signing_secret=secret, take=desk.take)


def said_at_start(deps: Deps, url: str) -> list[str]:
    """What is listened to, and what is configured by half, each in one line; nothing where Slack is not configured at all."""
    slack, ways = deps.settings.slack, deps.settings.slack_in
    given = [
        name
        for name, value in (("SLACK_APP_TOKEN", ways.app_token), ("SLACK_SIGNING_SECRET", ways.signing_secret))
        if value
    ]
    if slack is None:
        half = "set, but SLACK_BOT_TOKEN and SLACK_CHANNEL are not: Slack is not listened to until they are"
        return [f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} {half}"] if given else []
    if not given:
        return [
            "Slack: messages go out, but buttons and commands are not listened to: set SLACK_APP_TOKEN (Socket Mode) or "
            "SLACK_SIGNING_SECRET (signed HTTP)"
        ]
    lines = []
    if ways.app_token:
        lines.append("Slack: connecting by Socket Mode (SLACK_APP_TOKEN)")
    if ways.app_token and not ways.app_token.startswith("xapp-"):
        lines.append("Slack: SLACK_APP_TOKEN does not begin with xapp-: is it the app-level token, and not the bot's?")
    if ways.signing_secret:
        lines.append(
            f"Slack: signed requests are taken on {url}{INTERACTIONS} and {url}{COMMANDS} (loopback: a proxy of yours forwards them)"
        )
    known = [person.name for person in deps.alerting.people if person.slack] if deps.alerting is not None else []
    if not known:
        lines.append(
            'Slack: nobody in the alerting file has a Slack id, so every press is refused: add [[people]] with slack = "U..."'
        )
    return lines


@contextmanager
def listening(deps: Deps, desk: Desk | None, url: str, on_fenced: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Work off presses, and listen by Socket Mode where it is configured, inside the block."""
    for line in said_at_start(deps, url):
        _say(line)
    with ExitStack() as stack:
        if desk is not None:
            desk.start(on_fenced)
            stack.callback(desk.stop)
        slack, token = deps.settings.slack, deps.settings.slack_in.app_token
        if desk is not None and slack is not None and token:
            from jobs.slack_socket import Listener

            listener = Listener(token, desk.take, _say, slack.base_url)
            listener.start()
            stack.callback(listener.stop)  # first: nothing new comes in while the desk finishes
        yield


def _say(line: str) -> None:
    stderr.print(line, markup=False, highlight=False, soft_wrap=True)  # an address stays whole
