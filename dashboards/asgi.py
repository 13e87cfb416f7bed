"""The dashboards as one ASGI application: Streamlit's pages behind a door of our own. `python -m dashboards.launch` starts it.

    browser -> Guard (host, origin, headers) -> /session... | /reports... | Streamlit

Who somebody is comes from the cookie of the door, or from an OpenID provider through `st.login`; see `dashboards.person`.
"""

from __future__ import annotations

from pathlib import Path

from starlette.middleware import Middleware
from streamlit import config as streamlit_config
from streamlit import file_util
from streamlit.starlette import App

from dashboards import config, errors, person
from dashboards.door.http import Entrance, Guard, Onwards, Reports, first_page, policy

PAGES = Path(__file__).with_name("app.py")

serving, where = config.serving(), config.load()
port = int(streamlit_config.get_option("server.port"))
standing = person.open_door(serving, where, port)
index = Path(file_util.get_static_dir(), "index.html").read_text(encoding="utf-8")
app = App(
    PAGES,
    secrets=person.secrets(serving, where, port),
    routes=[
        *Entrance(standing.door, serving, standing.cookie).routes(),
        *Reports(where.home / "reports" / "drift").routes(),
        *first_page("review"),
    ],
    middleware=[Middleware(Guard, serving=serving, pages_policy=policy(index)), Middleware(Onwards)],
    on_script_error=errors.show,
)
