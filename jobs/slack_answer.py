"""Answers to the person who pressed, seen by that person alone: through the request's `response_url`, else as an ephemeral message. And forms.

An answer is a courtesy: what was done is in the incident's thread and in the record, so one try is made and its failure only logged. A `response_url`
is followed to Slack itself or to the configured base, nowhere else, and never redirected.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

from alerts.render_blocks import cut

log = logging.getLogger("controlplane.slack")

SLACK_API = "https://slack.com/api/"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
ANSWER_SECONDS = 3.0
FORM_SECONDS = 2  # Slack forgets a trigger after three
TEXT_MAX = 3_000


@dataclass(frozen=True, slots=True)
class Answers:
    """Speaks to one Slack with one token."""

    token: str = field(repr=False)
    base_url: str = ""
    channel: str = ""  # where an ephemeral message goes when the request does not say

    def tell(self, user_id: str, text: str, channel: str = "", response_url: str = "") -> bool:
        """One try to tell the person; whether it was taken. `channel`: where the person pressed."""
        shown = cut(text, TEXT_MAX)
        if response_url and may_follow(response_url, self.base_url):
            return self._respond(response_url, shown)
        if response_url:
            log.warning("a response_url that is not of the configured Slack was not followed")
        arguments = {"channel": channel or self.channel, "user": user_id, "text": shown}
        return self._call("chat.postEphemeral", arguments)

    def open_form(self, trigger_id: str, view: Mapping[str, Any]) -> bool:
        """Open a modal; False when Slack does not take it, such as three seconds after the press."""
        return bool(trigger_id) and self._call(
            "views.open", {"trigger_id": trigger_id, "view": dict(view)}, FORM_SECONDS
        )

    def _respond(self, url: str, text: str) -> bool:
        import httpx  # loaded when somebody is answered, not for every command of the command line

        body = {"response_type": "ephemeral", "replace_original": False, "delete_original": False, "text": text}
        try:
            answer = httpx.post(url, json=body, timeout=ANSWER_SECONDS, follow_redirects=False, verify=_trust())
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            log.warning("an answer did not reach Slack: %s", type(problem).__name__)  # the address is a key: not logged
            return False
        if not answer.is_success:
            log.warning("Slack did not take an answer: HTTP %s", answer.status_code)
        return answer.is_success

    def _call(self, method: str, arguments: Mapping[str, Any], seconds: int = int(ANSWER_SECONDS)) -> bool:
        from http.client import HTTPException

        from slack_sdk import WebClient
        from slack_sdk.errors import SlackApiError, SlackClientError

        base = f"{(self.base_url or SLACK_API).rstrip('/')}/"
        client = WebClient(token=self.token, base_url=base, timeout=seconds)
        client.retry_handlers = []
        try:
            client.api_call(method, json=dict(arguments))
        except SlackApiError as problem:
            data = problem.response.data if isinstance(problem.response.data, dict) else {}
            log.warning("Slack did not take %s: %s", method, data.get("error", "no reason"))
            return False
        except (OSError, HTTPException, SlackClientError) as problem:
            log.warning("%s did not reach Slack: %s", method, type(problem).__name__)
            return False
        return True


@cache
def _trust() -> ssl.SSLContext:
    """The certificates that servers are checked by, read once: to read them takes longer than to answer."""
    import httpx

    return httpx.create_ssl_context()


def may_follow(url: str, base_url: str) -> bool:
    """Whether an address is of the configured Slack: https to its host or that host's `hooks.`; plain http only to the very loopback of the base."""
    try:
        given, base = urlsplit(url), urlsplit(base_url or SLACK_API)
        here = _place(given) == _place(base)
    except ValueError:
        return False
    if given.username or given.password or not given.hostname or not base.hostname:
        return False
    if given.scheme == "http":
        return here and given.hostname in LOOPBACK
    hooks = f"hooks.{base.hostname.removeprefix('www.')}"
    return given.scheme == "https" and (here or (given.hostname == hooks and given.port in (None, 443)))


def _place(address: SplitResult) -> tuple[str, str | None, int | None]:
    default = {"https": 443, "http": 80}.get(address.scheme)
    return address.scheme, address.hostname, address.port or default
