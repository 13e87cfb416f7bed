"""The few pages outside Streamlit: log in, who you are, what went wrong. Plain HTML without a script; all that is told is escaped."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path

from controlplane.core.roles import PERMISSIONS, Permission
from dashboards import theme
from dashboards.door.sessions import Session
from dashboards.theme import Palette

_MARK = (
    '<svg width="20" height="22" viewBox="3 2 20 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2.2">'
    '<path d="M13 3 22 6.5v7c0 5.6-3.7 9.6-9 11.5-5.3-1.9-9-5.9-9-11.5v-7z"/><path d="M8.5 14.5 12 18l6-7.5"/></svg>'
)


def page(title: str, body: str) -> str:
    """A whole document; `body` is HTML."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} \u00b7 Control plane</title><style>:root {{ color-scheme: light dark; {_colours(theme.LIGHT)} }}"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_colours(theme.DARK)} }} }}{_style_sheet()}</style></head>"
        f'<body><main><div class="mark">{_MARK}Control plane</div>{body}</main></body></html>'
    )


def _colours(palette: Palette) -> str:
    names = ("ink", "muted", "faint", "paper", "panel", "good", "bad", "bad_soft")
    return " ".join(f"--{name.replace('_', '-')}: {getattr(palette, name)};" for name in names)


def log_in(target: str, *, problem: str = "", provider: str = "", tokens: bool = True, name: str = "") -> str:
    """The form for a token, and the way to the provider where there is one. `target` is where it goes on."""
    way = ""
    if provider:
        way = f'<a class="button" href="/?log_in=on">Log in with {escape(provider)}</a>'
    form = (
        f'<form method="post" action="/session"><input type="hidden" name="next" value="{escape(target)}">'
        f'<label for="name">Your name</label><input id="name" name="name" autocomplete="name" maxlength="80" value="{escape(name)}">'
        '<p class="hint">Stands in the audit log beside what you do. Left empty, every act asks for it.</p>'
        '<label for="token">Token</label><input id="token" name="token" type="password" autocomplete="current-password" required autofocus>'
        '<p class="hint">Whoever runs the control process has it: the file <code>token</code> of its workspace, '
        "or one made for your role.</p><button>Log in</button></form>"
    )
    between = '<div class="or">or with a token</div>' if way and tokens else ""
    said = f'<p class="no" role="alert">{escape(problem)}</p>' if problem else ""
    note = "<p>Everybody may read. Acting, single conversations and long analyses take a role.</p>"
    return page("Log in", f"<h1>Log in</h1>{note}{said}{way}{between}{form if tokens else ''}{_back(target)}")


def account(session: Session, target: str) -> str:
    """Who is logged in, what the role may do, and the way out."""
    rows = "".join(
        f"<li{'' if permission in PERMISSIONS[session.role] else ' class=not'}>{escape(str(permission).capitalize())}</li>"
        for permission in Permission
    )
    who = f"{escape(session.name)}, {session.role}" if session.name else f"Logged in as {session.role}"
    body = (
        f"<h1>{who}</h1><p>What this role may do:</p><ul>{rows}</ul>"
        '<form method="post" action="/session/end"><button>Log out</button></form>'
    )
    return page("Who you are", body + _back(target))


def told(title: str, sentence: str) -> str:
    """One thing said, and the way back."""
    return page(title, f"<h1>{escape(title)}</h1><p>{escape(sentence)}</p>{_back('/')}")


def _back(target: str) -> str:
    return f'<a class="button second" href="{escape(target)}">Back to the dashboards</a>'


@cache
def _style_sheet() -> str:
    return Path(__file__).with_name("door.css").read_text(encoding="utf-8")
