"""The control API as an ASGI application.

| path | what | needs |
|---|---|---|
| POST /ofrep/v1/evaluate/flags[/{key}] | flags for a customer (OpenFeature) | read flags, unless flags are open |
| POST /v1/feedback, /v1/records | what producers send | send records |
| POST /v1/actions/{action} | hold, rollback, disable-execution; resume, promote, enable-execution | make safer; grow |
| POST /v1/sql | read-only query | query facts |
| POST /v1/ask/{name}, GET /v1/tasks/{id} | what the dashboards ask beside the snapshot | what is asked for says; look |
| GET /v1/status, /metrics | what is served; numbers | look |
| POST /v1/slack/interactions, /v1/slack/commands | presses and commands from Slack | a signature of Slack |
| GET /healthz, /readyz | liveness, readiness | nothing |

Which role has which permission: `controlplane.server.auth`.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from controlplane.server.asking import Asking
from controlplane.server.auth import Doorkeeper
from controlplane.server.control import Control
from controlplane.server.edge import ApiError, Boundary, on_api_error, on_http_error
from controlplane.server.flags import Flags
from controlplane.server.health import Health
from controlplane.server.intake import Intake
from controlplane.server.services import Services
from controlplane.server.slack import Slack


def create_app(services: Services) -> Starlette:
    """The application. Raises ValueError for a token that is too short."""
    doorkeeper = Doorkeeper(services.tokens)
    parts = (Flags, Intake, Control, Asking, Health, Slack)
    app = Starlette(
        routes=[route for part in parts for route in part(services, doorkeeper).routes()],
        middleware=[Middleware(Boundary, new_id=services.new_id)],
        exception_handlers={ApiError: on_api_error, HTTPException: on_http_error},
    )
    app.router.redirect_slashes = False  # a path is right or not found; a redirect would drop the body of a POST
    return app
