"""How the dashboards are started: argv and environment for `python -m streamlit run`, headless, on loopback, telling nobody anything.

    python -m dashboards.launch --port 8322 --home ./work

becomes that server (the same process id), with CONTROLPLANE_URL and CONTROLPLANE_TOKEN of its environment where it may act.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from controlplane.settings import SettingsError
from dashboards import theme
from dashboards.config import DEFAULT_HOME, serving

APP = Path(__file__).with_name("asgi.py")


def command(port: int, host: str = "127.0.0.1") -> list[str]:
    """argv of the dashboards' server. Options on the command line win over any config file of the user."""
    options = {
        "server.port": str(port),
        "server.address": host,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.runOnSave": "false",
        "server.enableStaticServing": "false",
        "browser.gatherUsageStats": "false",
        "browser.serverAddress": host,
        "browser.serverPort": str(port),
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": "false",
        "global.developmentMode": "false",
        "logger.level": "warning",
    }
    flags = [f"--{key}={value}" for key, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *flags, *theme.options()]


def environment(
    home: Path, base: Mapping[str, str], control_url: str | None = None, token: str | None = None
) -> dict[str, str]:
    """Environment of the dashboards' process: the workspace, and the control API where they may act (URL and token)."""
    found = {**base, "CONTROLPLANE_HOME": str(home.resolve()), "DO_NOT_TRACK": "1"}
    for name, value in (("CONTROLPLANE_URL", control_url), ("CONTROLPLANE_TOKEN", token)):
        found.pop(name, None)
        if value:
            found[name] = value
    return found


def main() -> None:
    """Command line: become the dashboards' server."""
    parser = argparse.ArgumentParser(
        prog="python -m dashboards.launch", description="Serve the dashboards on loopback."
    )
    parser.add_argument("--port", type=int, default=8322)
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("CONTROLPLANE_HOME") or DEFAULT_HOME))
    chosen = parser.parse_args()
    try:
        serving()
    except SettingsError as error:
        parser.error(str(error))
    secrets = (os.environ.get(name) for name in ("CONTROLPLANE_URL", "CONTROLPLANE_TOKEN"))
    argv = command(chosen.port)
    os.execve(argv[0], argv, environment(chosen.home, os.environ, *secrets))


if __name__ == "__main__":
    main()
