"""Puts a small picture into an incident's thread, where the workspace lets the app upload files. It never fails a message, and never repeats.

The way is Slack's of today: ask for an address, send the bytes there, say what they belong to (`files.getUploadURLExternal`,
`files.completeUploadExternal`; scope `files:write`). Slack works on the file after it has answered, so the parent message shows it from its next
update on. A picture is tried once, right after its message was posted: a crash in between costs the picture and makes no second one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from alerts.model import Alert

if TYPE_CHECKING:
    from alerts.chart import Picture

Draw = Callable[[str, Alert], "Picture | None"]  # (incident id, alert) -> what to show; None: nothing to show
UPLOAD_SECONDS = 3.0
FILE_NAME = "evidence.png"
# The app may not, or this Slack cannot: asking again with the next incident would not help.
_NEVER = frozenset(
    [
        "missing_scope",
        "not_allowed_token_type",
        "no_permission",
        "unknown_method",
        "method_deprecated",
        "access_denied",
        "restricted_action",
        "file_uploads_disabled",
        "file_uploads_except_images_disabled",
    ]
)


class UploadError(Exception):
    """The picture is not there; the words say why."""


class Pictures:
    """Draws and uploads; after a refusal that a person must lift it does not ask again in this process."""

    def __init__(self, client: WebClient, draw: Draw) -> None:
        """`draw` may raise: then there is no picture."""
        self._client = client
        self._draw = draw
        self._refused = ""

    def share(self, incident_id: str, view: Alert, channel: str, ts: str) -> dict[str, Any]:
        """Put the incident's picture beneath the message `ts`: {"chart": file id}, {"no_chart": why}, or {} where there is nothing to show."""
        if self._refused:
            return {"no_chart": self._refused}
        try:
            picture = self._draw(incident_id, view)
            if picture is None:
                return {}
            return {"chart": self._upload(picture, channel, ts)}
        except SlackApiError as problem:
            data = getattr(problem.response, "data", None)
            word = str(data.get("error", "")) if isinstance(data, dict) else ""
            why = f"Slack refuses the picture: {word[:100] or 'no reason'}"
            self._refused = why if word in _NEVER else ""
            return {"no_chart": why}
        except (
            Exception
        ) as problem:  # the message is out; whatever is wrong with a picture must not make it count as lost
            return {"no_chart": f"{type(problem).__name__}: {problem}"[:300]}

    def _upload(self, picture: Picture, channel: str, ts: str) -> str:
        begun = self._client.files_getUploadURLExternal(
            filename=FILE_NAME, length=len(picture.png), alt_txt=picture.title[:1_000]
        )
        address, file_id = str(begun["upload_url"]), str(begun["file_id"])
        if not trusted(address, self._client.base_url):
            raise UploadError(f"the upload address is at {urlsplit(address).netloc!r:.80}, which is not Slack's")
        sent = httpx.post(address, content=picture.png, timeout=UPLOAD_SECONDS)
        if not sent.is_success:
            raise UploadError(f"the upload was answered with {sent.status_code}")
        self._client.files_completeUploadExternal(
            files=[{"id": file_id, "title": picture.title[:200]}], channel_id=channel, thread_ts=ts
        )
        return file_id


def trusted(address: str, base_url: str) -> bool:
    """Whether bytes may be sent there: Slack's own hosts over https, or the very server that `base_url` names."""
    try:
        there, base = urlsplit(address), urlsplit(base_url)
        same = (there.scheme, there.hostname, there.port) == (base.scheme, base.hostname, base.port)
    except ValueError:
        return False
    host = there.hostname or ""
    return same or (there.scheme == "https" and there.port in (None, 443) and (host + ".").endswith(".slack.com."))
