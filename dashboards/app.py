"""The dashboards: pages and navigation; `dashboards.launch` starts them.

`dashboards.asgi` serves it behind the door. Every page carries the live strip; pages are files in app_pages, so that tests and links can name them.
"""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from controlplane.store.snapshot import NoSnapshot
from dashboards import config, person, shell, strip, theme
from dashboards.config import REFRESH_SECONDS

ICON = "\U0001f6e1\ufe0f"
# The product's name as a picture, in a grey that reads on light and dark.
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="176" height="28" viewBox="0 0 176 28">'
    '<path d="M13 3 22 6.5v7c0 5.6-3.7 9.6-9 11.5-5.3-1.9-9-5.9-9-11.5v-7z" fill="none" stroke="#7b8794" stroke-width="2.2"/>'
    '<path d="M8.5 14.5 12 18l6-7.5" fill="none" stroke="#7b8794" stroke-width="2.2"/>'
    '<text x="31" y="20" font-family="sans-serif" font-size="17" font-weight="600" fill="#7b8794">Control plane</text></svg>'
)
PAGES = (
    ("app_pages/review_page.py", "Review", "review"),
    ("app_pages/live_page.py", "Live", "live"),
    ("app_pages/rollout_page.py", "Rollout", "rollout"),
    ("app_pages/experiments_page.py", "Experiments", "experiments"),
    ("app_pages/drift_page.py", "Drift", "drift"),
    ("app_pages/quality_page.py", "Quality", "quality"),
    ("app_pages/conversation_page.py", "Conversation", "conversation"),
    ("app_pages/cost_page.py", "Cost", "cost"),
    ("app_pages/incidents_page.py", "Incidents", "incidents"),
    ("app_pages/governance_page.py", "Governance", "governance"),
)


@st.fragment(run_every=REFRESH_SECONDS)
def live_strip() -> None:
    """State, share, firing, data age: of the newest snapshot, whatever the page shows; and who is logged in."""
    found = shell.look()
    if isinstance(found, NoSnapshot):
        chosen = config.load()
        strip.show_empty(person.current(chosen), person.can_log_in(chosen))
    else:
        strip.show(found, datetime.now(UTC))


def main() -> None:
    """Configure, navigate, run the chosen page under the strip."""
    st.set_page_config(page_title="Control plane", page_icon=ICON, layout="wide")
    person.log_in_where_asked(config.load())
    pages = [
        st.Page(file, title=title, url_path=path, default=index == 0) for index, (file, title, path) in enumerate(PAGES)
    ]
    st.logo(LOGO, size="medium")
    chosen = st.navigation(pages, position="top")
    st.html(theme.css(shell.colours()))
    live_strip()
    chosen.run()


main()
