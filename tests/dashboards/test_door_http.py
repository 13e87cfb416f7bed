"""The door over HTTP, without Streamlit: headers, hosts, other sites, logging in and out, the one-time link, reports in their sandbox."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit import file_util

from controlplane.core.roles import Role
from controlplane.settings_dashboards import Oidc, Serving
from dashboards.door import pages as door_pages
from dashboards.door.http import FORM_BYTES, Entrance, Guard, Onwards, Reports, first_page, policy
from dashboards.door.sessions import WRONG, Door

URL = "http://127.0.0.1:8322"
COOKIE = "controlplane_session_8322"
INDEX = Path(file_util.get_static_dir(), "index.html").read_text(encoding="utf-8")
TOKENS = {"the-admins-token": Role.ADMIN, "the-operators-token": Role.OPERATOR}


async def _stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("in")
    await socket.close()


def _client(tmp_path: Path, serving: Serving | None = None, url: str = URL) -> TestClient:
    serving = serving or Serving()
    door = Door(TOKENS, lambda: 1.0, "once-only")
    page = PlainTextResponse("the page")
    routes = [
        *Entrance(door, serving, COOKIE).routes(),
        *Reports(tmp_path).routes(),
        *first_page("review"),
        WebSocketRoute("/_stcore/stream", _stream),
        Route("/oauth2callback", RedirectResponse("/", 302)),
        Route("/{path:path}", page, methods=["GET", "POST"]),
    ]
    middleware = [Middleware(Guard, serving=serving, pages_policy=policy(INDEX)), Middleware(Onwards)]
    return TestClient(Starlette(routes=routes, middleware=middleware), base_url=url, follow_redirects=False)


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return _client(tmp_path)


@pytest.mark.parametrize(
    "path", ["/", "/live", "/session", "/session/once?code=x", "/reports/drift/none.html", "/media/a.csv"]
)
def test_every_answer_carries_the_headers(client: TestClient, path: str) -> None:
    found = client.get(path).headers
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["X-Frame-Options"] == "DENY"
    assert found["Referrer-Policy"] == "same-origin"
    assert found["Cache-Control"] == "no-store"
    assert "camera=()" in found["Permissions-Policy"]
    assert found["Content-Security-Policy"] == policy(INDEX)
    assert "Strict-Transport-Security" not in found


def test_the_policy_names_no_outside_host_and_no_inline_script(client: TestClient) -> None:
    found = policy(INDEX)
    parts = dict(part.split(" ", 1) for part in found.split("; "))
    assert "://" not in found
    assert "*" not in found
    assert "unsafe" not in parts["script-src"]
    assert parts["script-src"].count("'sha256-") == len(re.findall(r"<script>", INDEX))
    assert (parts["frame-ancestors"], parts["object-src"], parts["form-action"]) == ("'none'", "'none'", "'self'")
    assert "no-store" not in client.get("/static/js/index.js").headers.get("Cache-Control", "")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example", "[", "localhost/x", "0.0.0.0"]
)
def test_a_name_that_is_not_ours_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/session", "/_stcore/health"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "the page" not in answer.text
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream", headers={"Host": host}):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1:8322", "localhost", "LOCALHOST.:1", "[::1]:8322"])
def test_this_machine_has_several_names(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).text == "the page"


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:9999", "null", "http://["])
def test_another_site_changes_nothing(client: TestClient, origin: str) -> None:
    form = {"token": "the-admins-token"}
    for path in ("/session", "/session/end", "/_stcore/upload_file/x"):
        answer = client.post(path, data=form, headers={"Origin": origin})
        assert (answer.status_code, answer.cookies) == (403, {})
    assert client.get("/_stcore/health", headers={"Origin": origin}).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream", headers={"Origin": origin}):
        pass
    for site in ("cross-site", "same-site"):
        assert client.post("/session", data=form, headers={"Sec-Fetch-Site": site}).status_code == 403


def test_a_browser_on_our_own_page_gets_through(client: TestClient) -> None:
    with client.websocket_connect("/_stcore/stream", headers={"Origin": URL, "Host": "127.0.0.1:8322"}) as socket:
        assert socket.receive_text() == "in"
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link in a chat


def test_the_agents_interface_of_streamlit_is_shut(client: TestClient) -> None:
    for path in ("/_stcore/agent/interact", "/_stcore/agent/openapi.json", "/_stcore/agent/mcp"):
        assert client.post(path).status_code == client.get(path).status_code == 404


def test_in_and_out(client: TestClient) -> None:
    form = {"token": "the-operators-token", "name": "<ana>", "next": "/live?window=24+h"}
    answer = client.post("/session", data=form, headers={"Origin": URL, "Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/live?window=24+h")
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "max-age=43200" in cookie
    assert "secure" not in cookie
    shown = client.get("/session").text
    assert "&lt;ana&gt;, operator" in shown
    assert "<li class=not>Let the rollout grow" in shown
    assert "<li>Make the rollout safer" in shown
    assert client.post("/session/end").headers["Location"] == "/"
    client.cookies.set(COOKIE, cookie.split("=")[1].split(";")[0])
    assert "Log out" not in client.get("/session").text


def test_a_wrong_token_is_told_and_guessing_ends(client: TestClient) -> None:
    for _ in range(WRONG):
        answer = client.post("/session", data={"token": "wrong", "name": '"ana"', "next": "//evil.example"})
        assert (answer.status_code, "No role has this token" in answer.text) == (401, True)
        assert 'value="&quot;ana&quot;"' in answer.text
        assert "evil" not in answer.text
    answer = client.post("/session", data={"token": "the-admins-token"})
    assert (answer.status_code, answer.headers["Retry-After"], answer.cookies) == (429, "300", {})
    assert "wait 5 min" in answer.text


@pytest.mark.parametrize("body", [b"x" * (FORM_BYTES + 1), b"a=1&" * 30])
def test_what_is_no_form_is_refused(client: TestClient, body: bytes) -> None:
    assert client.post("/session", content=body).status_code == 413


def test_the_one_time_link_works_once(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/session/once", params={"code": "once-only", "next": "/review"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/review")
    assert "Logged in as admin" in client.get("/session").text
    client.cookies.clear()
    again = client.get("/session/once?code=once-only")
    assert (again.status_code, "This link has been used" in again.text, again.cookies) == (401, True, {})


def test_a_link_that_names_the_first_page_gets_there(client: TestClient) -> None:
    assert client.get("/review?week=2026-W02&x=%2F%2Fevil").headers["Location"] == "/?week=2026-W02&x=%2F%2Fevil"
    assert client.get("/review").headers["Location"] == "/"


def test_behind_a_public_name(tmp_path: Path) -> None:
    serving = Serving("https://dash.example.com", oidc=Oidc("https://id.example.com", "me", "hush", "Bank & Co"))
    client = _client(tmp_path, serving, "https://dash.example.com")
    shown = client.get("/session?next=/cost").text
    assert "Log in with Bank &amp; Co" in shown
    assert "hush" not in shown
    assert client.get("/oauth2callback").headers["Location"] == "/cost"  # back from the provider
    client.get("/session?next=//evil.example")
    assert client.get("/oauth2callback").headers["Location"] == "/"
    answer = client.post("/session", data={"token": "the-admins-token"}, headers={"Origin": "https://dash.example.com"})
    assert "secure" in answer.headers["Set-Cookie"].lower()
    assert answer.headers["Strict-Transport-Security"]
    inside = client.post(
        "/session", data={"token": "x"}, headers={"Host": "localhost", "Origin": "https://dash.example.com"}
    )
    assert inside.status_code == 401  # a proxy that names the host otherwise


def test_reports_run_in_a_sandbox_and_nothing_else_is_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "reports"
    folder.mkdir(parents=True)
    (folder / "a.html").write_text("<script>1</script>")
    (folder / "a.json").write_text("{}")
    (tmp_path / "home" / "secret.html").write_text("secret")
    client = _client(folder)
    found = client.get("/reports/drift/a.html")
    assert found.text == "<script>1</script>"
    said = found.headers["Content-Security-Policy"]
    assert said.startswith("sandbox allow-scripts; default-src 'none'")
    assert "allow-same-origin" not in said
    assert found.headers["X-Frame-Options"] == "SAMEORIGIN"
    (folder / "link.html").symlink_to(tmp_path / "home" / "secret.html")
    (folder / "b").symlink_to(tmp_path / "home")
    (folder / "dir.html").mkdir()
    absolute = f"/{tmp_path}/home/secret.html"
    gone = (
        "a.json",
        "%2e%2e/secret.html",
        "..%2fsecret.html",
        "none.html",
        "",
        "link.html",
        "b/secret.html",
        "dir.html",
    )
    for name in (
        *gone,
        "a%00.html",
        f"{'x' * 5_000}.html",
        "..%5csecret.html",
        "%2e%2e%2f" * 9 + "etc/passwd",
        absolute,
    ):
        assert client.get(f"/reports/drift/{name}").status_code == 404


def test_the_pages_need_no_script_and_ask_nobody() -> None:
    for shown in (
        door_pages.log_in("/"),
        door_pages.told("Not here", "<b>"),
        door_pages.log_in("/", provider="Bank", tokens=False),
    ):
        assert "<script" not in shown
        assert "//" not in shown.replace("<!DOCTYPE html>", "")
        assert "prefers-color-scheme: dark" in shown
    assert "password" not in door_pages.log_in("/", provider="Bank", tokens=False)
