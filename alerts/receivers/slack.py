"""Slack: one parent message per incident, updated in place, with a thread as its timeline.

*Once for the reader.* Every message carries the outbox id in its metadata (`controlplane_alert`), and, because reading metadata
back needs a scope that a workspace may not grant, also as a short reference at the end of its fallback text. When an attempt
may have arrived without a receipt (a crash, a dropped connection, a time-out), the channel's history and the thread are
searched for both before anything is sent again.

*No waiting here.* The client's own retries are off: they sleep inside the call, share one attempt counter over all handlers,
and repeat a post whose answer was lost, which is how duplicates are made. One call is one try; `Retry-After` and back-off go
through the outbox.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from alerts.message import DeliveryError, Message, Receipt
from alerts.receivers.slack_files import Draw, Pictures
from alerts.receivers.webhook import retry_seconds
from alerts.render import slack_message, slack_reply
from alerts.render_buttons import buttons_of

EVENT_TYPE = "controlplane_alert"
SEARCH_PAGES = 10
PAGE = 200
RETRY_AFTER_DEFAULT = 30.0
_MARK = re.compile(r"ref [0-9a-f]{10}-[0-9a-f]{10}(?=\s*$)")
TOLD_MAX = 200  # alert keys kept in the metadata; Slack limits its size

# A person has to do something before Slack takes a message; trying again alone never helps.
_PERMANENT = frozenset(
    [
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "no_permission",
        "missing_scope",
        "not_allowed_token_type",
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "restricted_action",
        "access_denied",
        "org_login_required",
        "ekm_access_denied",
        "team_access_not_granted",
        "enterprise_is_restricted",
        "messages_tab_disabled",
    ]
)
# Slack does not take the form of this message: it goes again as plain text.
_CONTENT = frozenset(
    [
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_attachments",
        "msg_blocks_too_long",
        "msg_too_long",
        "too_many_attachments",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "metadata_too_large",
        "metadata_must_be_sent_from_app",
    ]
)
_FROZEN = frozenset(["cant_update_message", "edit_window_closed", "update_failed"])
_UNSEARCHABLE = frozenset(["missing_scope", "not_in_channel", "no_permission", "method_not_supported_for_channel_type"])


class _Refused(DeliveryError):
    """Slack answered with an error word."""

    def __init__(self, word: str, message: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message, permanent=permanent, retry_after=retry_after)
        self.word = word


class SlackReceiver:
    """Posts to one channel with one token."""

    def __init__(self, client: WebClient, channel: str, name: str = "slack") -> None:
        """`client` is used with its retry handlers removed. `channel` is the channel's id."""
        client.retry_handlers = []
        self._client = client
        self._channel = channel
        self._pictures: Pictures | None = None
        self.name = name
        self.listens = True  # whether a press reaches anybody; where it does not, no button is drawn for it

    @classmethod
    def connect(
        cls, token: str, channel: str, base_url: str = "", timeout_seconds: int = 5, name: str = "slack"
    ) -> SlackReceiver:
        """A receiver for Slack itself, or for whatever `base_url` points to (SLACK_BASE_URL)."""
        address = f"{(base_url or WebClient.BASE_URL).rstrip('/')}/"
        return cls(WebClient(token=token, base_url=address, timeout=timeout_seconds), channel, name)

    def show_charts(self, draw: Draw) -> None:
        """Have the evidence of each new incident drawn and put into its thread, where Slack takes files."""
        self._pictures = Pictures(self._client, draw)

    def send(self, message: Message) -> Receipt:
        """One try to tell: a parent, or an update of the parent and a reply. Raises DeliveryError."""
        mark = reference(message.incident_id, message.outbox_id)
        parent = dict(message.parent) if message.parent else None
        if parent is None and message.parent_in_doubt:
            parent = self._find_parent(mark, message.incident_id is not None)
            if parent and parent["mark"] == mark:
                return parent
        return self._post_parent(message, mark) if parent is None else self._follow_up(parent, message, mark)

    def _post_parent(self, message: Message, mark: str) -> Receipt:
        steps = message.steps or ((message.event.step,) if message.event.step else ())
        content = self._content(message, mark, note=message.note, steps=steps)
        ts = self._put(self._client.chat_postMessage, content, _metadata(message, mark, message.outbox_id))
        shown = {}
        if self._pictures is not None and message.incident_id is not None:
            shown = self._pictures.share(message.incident_id, message.view, self._channel, ts)
        own = {"mark": mark, "outbox_id": message.outbox_id}
        return {"parent": True, "channel": self._channel, "ts": ts, **own, "found": False, **shown}

    def _follow_up(self, parent: Receipt, message: Message, mark: str) -> Receipt:
        """Update first (repeating it is harmless), then the step in the thread, which is looked up when in doubt."""
        frozen = False
        try:
            self._update(parent, message)
        except _Refused as refused:
            if refused.word == "message_not_found":  # a person deleted it
                return self._post_parent(message, mark)
            if refused.word not in _FROZEN:
                raise
            frozen = True
        where = {"parent": False, "channel": self._channel, "parent_ts": parent["ts"], "mark": mark, "frozen": frozen}
        found = self._find_reply(parent["ts"], mark) if message.in_doubt else None
        if found is not None:
            return {**where, **found}
        reply = slack_reply(message.event, note=message.note, reference=mark, steps=message.steps or None)
        content = {**reply, "thread_ts": parent["ts"]}
        ts = self._put(self._client.chat_postMessage, content, _metadata(message, mark, message.outbox_id))
        return {**where, "ts": ts, "found": False}

    def _update(self, parent: Receipt, message: Message) -> None:
        mark, where = parent["mark"], {"ts": parent["ts"]}
        owner = str(parent.get("outbox_id", message.outbox_id))
        picture = str(parent.get("chart", ""))
        content = {**self._content(message, mark, picture=picture), **where}
        bare = {**self._content(message, mark), **where} if picture else None
        self._put(self._client.chat_update, content, _metadata(message, mark, owner), bare)

    def _content(self, message: Message, mark: str, **more: Any) -> dict[str, Any]:
        buttons = buttons_of(message.view, self.listens)
        return slack_message(message.view, also=message.also, reference=mark, buttons=buttons, **more)

    def _put(
        self,
        method: Callable[..., Any],
        content: Mapping[str, Any],
        metadata: Mapping[str, Any],
        bare: Mapping[str, Any] | None = None,
    ) -> str:
        """Post or update; where Slack refuses the form, `bare` (without its picture), then plain text. Returns the message's ts."""
        quiet = {} if "ts" in content else {"unfurl_links": False, "unfurl_media": False}
        for form in (content, bare):
            if form is None:
                continue
            try:
                answer = self._call(method, channel=self._channel, metadata=metadata, **quiet, **form)
            except _Refused as refused:
                if refused.word not in _CONTENT:
                    raise
            else:
                return str(answer["ts"])
        plain = {key: value for key, value in content.items() if key not in ("blocks", "attachments")}
        return str(self._call(method, channel=self._channel, **quiet, **plain)["ts"])

    def _find_parent(self, wanted: str, of_incident: bool) -> Receipt | None:
        """The incident's parent in the newest messages of the channel, whichever of its messages made it."""
        for found in self._pages(self._client.conversations_history, channel=self._channel):
            mark = _mark(found)
            if mark == wanted or (of_incident and mark and _incident_part(mark) == _incident_part(wanted)):
                return {"parent": True, "channel": self._channel, "mark": mark, **_found(found)}
        return None

    def _find_reply(self, parent_ts: str, mark: str) -> Receipt | None:
        for found in self._pages(self._client.conversations_replies, channel=self._channel, ts=parent_ts):
            if found["ts"] != parent_ts and _mark(found) == mark:
                return _found(found)
        return None

    def _pages(self, method: Callable[..., Any], **where: str) -> Iterator[Mapping[str, Any]]:
        """Messages page by page, at most SEARCH_PAGES. A workspace that does not let us search is no reason for silence."""
        cursor = ""
        for _ in range(SEARCH_PAGES):
            more = {"cursor": cursor} if cursor else {}
            try:
                answer = self._call(method, limit=PAGE, include_all_metadata=True, **where, **more)
            except _Refused as refused:
                if refused.word in _UNSEARCHABLE:
                    return
                raise
            yield from answer.get("messages") or []
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return

    def _call(self, method: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return method(**arguments)
        except SlackApiError as problem:
            raise self._refusal(problem) from problem
        except (OSError, HTTPException, SlackClientError) as problem:
            raise DeliveryError(f"{self.name}: no answer: {type(problem).__name__}: {problem}") from problem

    def _refusal(self, problem: SlackApiError) -> _Refused:
        response = problem.response
        status = getattr(response, "status_code", 0)
        data = getattr(response, "data", None)
        word = str(data.get("error", "")) if isinstance(data, dict) else ""
        if status == 429 or word in ("ratelimited", "rate_limited"):
            wait = retry_seconds(str(response.headers.get("Retry-After"))) or RETRY_AFTER_DEFAULT
            return _Refused("ratelimited", f"{self.name}: asked to wait {wait:g} s", retry_after=wait)
        hint = " (check SLACK_BOT_TOKEN, its scopes, and SLACK_CHANNEL)" if word in _PERMANENT else ""
        text = f"{self.name}: refused with {word[:200] or 'no reason'}, HTTP {status}{hint}"
        return _Refused(word, text, permanent=word in _PERMANENT)


def reference(incident_id: str | None, outbox_id: str) -> str:
    """The short mark by which a message is found again: "ref <incident>-<message>", hashes of the two ids."""
    return f"ref {_digest(incident_id or outbox_id)}-{_digest(outbox_id)}"


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:10]


def _incident_part(mark: str) -> str:
    return mark.partition("-")[0]


def _metadata(message: Message, mark: str, outbox_id: str) -> dict[str, Any]:
    payload = {"outbox_id": outbox_id, "mark": mark, "told": list(message.told[:TOLD_MAX])}
    return {"event_type": EVENT_TYPE, "event_payload": payload}


def _payload(found: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = found.get("metadata") or {}
    payload = metadata.get("event_payload") if metadata.get("event_type") == EVENT_TYPE else None
    return payload if isinstance(payload, Mapping) else {}


def _mark(found: Mapping[str, Any]) -> str:
    """The mark of a found message, from its metadata or else from the end of its text; empty when it has none, or when a person wrote it: somebody
    may have quoted ours, and Slack gives a `client_msg_id` to what is typed alone."""
    if found.get("client_msg_id"):
        return ""
    mark = _payload(found).get("mark")
    if isinstance(mark, str):
        return mark
    match = _MARK.search(str(found.get("text") or ""))
    return match.group() if match else ""


def _found(found: Mapping[str, Any]) -> Receipt:
    payload = _payload(found)
    told = payload.get("told")
    known = {"outbox_id": str(payload["outbox_id"])} if "outbox_id" in payload else {}
    keys = {"told": [str(key) for key in told]} if isinstance(told, list) else {}
    return {"ts": found["ts"], "found": True, **known, **keys}
