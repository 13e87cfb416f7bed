"""The door over HTTP: routes that log in and out, and the guard that every request passes first.

The guard lets in only browsers that ask for this host by a name it knows (against DNS rebinding), takes nothing that changes something from
another origin, and puts the security headers on every answer. What the pages may load is said by a Content-Security-Policy without an outside host.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.settings_dashboards import Serving
from dashboards.door import pages as door_pages
from dashboards.door.sessions import LIFE_SECONDS, Door, Entry

CALLBACK = "/oauth2callback"  # Streamlit's
FORM_BYTES = 8_192
NEXT, NEXT_SECONDS = "controlplane_next", 600
OURS = ("same-origin", "none")
SAFE = ("GET", "HEAD", "OPTIONS")
_TARGET = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,2000}")
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# A report is somebody else's page with scripts of its own: it runs without an origin, and may load nothing at all.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


def policy(index: str) -> str:
    """The Content-Security-Policy of the pages; `index` is Streamlit's own page, whose inline scripts are let in by their hashes.

    Styles may be inline (Streamlit writes them so); scripts may not, and none may be made from text: charts use Vega's interpreter.
    """
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in _INLINE.findall(index)]
    scripts = " ".join(["'self'", *(f"'sha256-{found}'" for found in hashes)])
    parts = (
        "default-src 'self'",
        f"script-src {scripts}",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data: blob:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "frame-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
    return "; ".join(parts)


class Guard:
    """ASGI middleware: who may ask, and what every answer says about itself."""

    def __init__(self, app: ASGIApp, serving: Serving, pages_policy: str) -> None:
        self._app = app
        self._hosts, self._url = serving.hosts, serving.url
        self._headers = {
            "Content-Security-Policy": pages_policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=(), browsing-topics=()",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        if serving.https:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with the headers added."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(scope["path"], MutableHeaders(scope=message))
            await send(message)

        if refusal is None:
            await self._app(scope, receive, answer)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            await refusal(scope, receive, answer)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """What is answered instead; None for what may pass."""
        if _name(headers.get("host", "")) not in self._hosts:
            sentence = "These dashboards are not served under this name. CONTROLPLANE_DASHBOARD_URL names another."
            return HTMLResponse(door_pages.told("Not here", sentence), 421)
        if scope["path"].startswith("/_stcore/agent"):
            return HTMLResponse(door_pages.told("Not found", "There is no such page."), 404)
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE
        if self._foreign(headers) or (changes and headers.get("sec-fetch-site", "same-origin") not in OURS):
            return HTMLResponse(door_pages.told("Refused", "This came from another site, so nothing was done."), 403)
        return None

    def _foreign(self, headers: Headers) -> bool:
        """Whether a script or form of another origin asks; a port of its own is an origin of its own, cookies notwithstanding."""
        origin = headers.get("origin")
        if origin is None or origin == self._url:
            return False
        try:
            return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
        except ValueError:
            return True

    def _add(self, path: str, found: MutableHeaders) -> None:
        for name, value in self._headers.items():
            found.setdefault(name, value)
        if not path.startswith("/static/"):
            found["Cache-Control"] = "no-store"


def _name(host: str) -> str:
    """The host without its port, lower case; "" for what cannot be one."""
    try:
        parts = urlsplit(f"//{host}")
        return "" if parts.username or parts.path else (parts.hostname or "").rstrip(".")
    except ValueError:
        return ""


class Entrance:
    """Routes that log in and out."""

    def __init__(self, door: Door, serving: Serving, cookie: str) -> None:
        self._door = door
        self._provider = serving.oidc.name if serving.oidc else ""
        self._cookie = cookie
        self._secure = serving.https

    def routes(self) -> list[Route]:
        """Log in, the one-time link, log out."""
        return [
            Route("/session", self.show, methods=["GET"]),
            Route("/session", self.enter, methods=["POST"]),
            Route("/session/once", self.once, methods=["GET"]),
            Route("/session/end", self.end, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The form; for who is in already, who that is and the way out."""
        target = safe_target(request.query_params.get("next", "/"))
        session = self._door.who(request.cookies.get(self._cookie))
        answer = HTMLResponse(door_pages.account(session, target) if session else self._form(target))
        if (
            self._provider and session is None
        ):  # remembered on the way to the provider and back, which is another site: lax
            answer.set_cookie(
                NEXT, quote(target), max_age=NEXT_SECONDS, httponly=True, samesite="lax", secure=self._secure
            )
        return answer

    async def enter(self, request: Request) -> Response:
        """A token from the form. 303 onwards with the cookie; 401 for a wrong one, 429 for too many."""
        given = await _form(request)
        if given is None:
            return HTMLResponse(door_pages.told("Too much", "The form was larger than a log-in can be."), 413)
        target = safe_target(given.get("next", "/"))
        name = given.get("name", "")
        entry = self._door.enter(given.get("token", ""), name, _address(request))
        wrong = "No role has this token. Is there a blank or a line end in it?"
        return self._opened(entry, target) or self._refused(entry, wrong, target, name)

    async def once(self, request: Request) -> Response:
        """The one-time link. A second use shows the form."""
        entry = self._door.redeem(request.query_params.get("code", ""), _address(request))
        target = safe_target(request.query_params.get("next", "/"))
        wrong = "This link has been used, or is too old. Log in with the token instead."
        return self._opened(entry, target) or self._refused(entry, wrong, target)

    async def end(self, request: Request) -> Response:
        """Log out, here and for every page that is open."""
        self._door.leave(request.cookies.get(self._cookie))
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(self._cookie, httponly=True, samesite="strict", secure=self._secure)
        return answer

    def _opened(self, entry: Entry, target: str) -> Response | None:
        if entry.session_id is None:
            return None
        answer = RedirectResponse(target, 303)
        answer.set_cookie(
            self._cookie,
            entry.session_id,
            max_age=int(LIFE_SECONDS),
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )
        return answer

    def _refused(self, entry: Entry, wrong: str, target: str, name: str = "") -> Response:
        if entry.wait:
            minutes = math.ceil(entry.wait / 60)
            problem = f"Too many wrong tries: wait {minutes} min, then try again."
            more = {"Retry-After": str(math.ceil(entry.wait))}
            return HTMLResponse(self._form(target, problem, name), 429, headers=more)
        return HTMLResponse(self._form(target, wrong, name), 401)

    def _form(self, target: str, problem: str = "", name: str = "") -> str:
        more: Mapping[str, Any] = {"provider": self._provider, "tokens": self._door.opens}
        return door_pages.log_in(target, problem=problem, name=name, **more)


class Onwards:
    """ASGI middleware: who comes back from the provider goes on to where the log-in began, not to Streamlit's first page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Change where the answer of the callback leads."""
        if scope["type"] != "http" or scope["path"] != CALLBACK:
            await self._app(scope, receive, send)
            return
        target = safe_target(unquote(Request(scope).cookies.get(NEXT, "/")))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                if found.get("location") == "/":
                    found["location"] = target
            await send(message)

        await self._app(scope, receive, answer)


class Reports:
    """Reports of the drift analysis as pages of their own, so that their scripts never run with the dashboards' origin."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def routes(self) -> list[Route]:
        """One route, for HTML files below the folder."""
        return [Route("/reports/drift/{name:path}", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """The file as it is, in a sandbox; 404 for everything else."""
        path = self._found(request.path_params["name"])
        if path is None:
            return HTMLResponse(door_pages.told("Not found", "This report is not in the workspace."), 404)
        headers = {"Content-Security-Policy": REPORT_POLICY, "X-Frame-Options": "SAMEORIGIN"}
        return FileResponse(path, media_type="text/html", headers=headers)

    def _found(self, name: str) -> Path | None:
        """The file of that name below the folder, wherever links lead; None for what is none."""
        try:
            path = (self._folder / name).resolve()
            inside = path.suffix == ".html" and path.is_relative_to(self._folder.resolve()) and path.is_file()
        except (ValueError, OSError):  # no name that a file system takes
            return None
        return path if inside else None


def first_page(name: str) -> list[Route]:
    """Streamlit serves its first page at the root alone; a link that names it goes there, filters and all."""

    async def onwards(request: Request) -> Response:
        return RedirectResponse(f"/?{request.url.query}" if request.url.query else "/", 302)

    return [Route(f"/{name}", onwards, methods=["GET"])]


def safe_target(text: str) -> str:
    """Where to go on: a path of these dashboards, else the first page."""
    return text if _TARGET.fullmatch(text) else "/"


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a posted form; None when it is larger than a log-in can be."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            return None
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
