"""Takes pictures of pages, for somebody who wants to see what a change looks like: `python -m tests.dashboards.look HOME review live --phone --dark`.

The workspace is copied, its control process answers at the snapshot's time, and the pictures go to test-artefacts/look-PAGE.png.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.dashboards.browser import DESKTOP, PHONE, TOKEN, Watched, chromium, served
from tests.dashboards.conftest import standing


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.dashboards.look", description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("pages", nargs="+", help="as in the address: review, live?window=24+h, ...")
    parser.add_argument("--phone", action="store_true")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--read-only", action="store_true", help="without a control process")
    parser.add_argument("--out", type=Path, default=None, help="folder of the pictures")
    chosen = parser.parse_args()
    with TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        if chosen.read_only:
            shutil.copytree(chosen.home, home)
            with served(home) as url:
                look(url, chosen)
            return
        with standing(chosen.home, home) as control, served(home, control.server.url, TOKEN) as url:
            look(url, chosen)


def look(url: str, chosen: argparse.Namespace) -> None:
    """One picture a page, and what went wrong."""
    with chromium() as browser:
        for page in chosen.pages:
            seen = Watched(browser, url, PHONE if chosen.phone else DESKTOP, "dark" if chosen.dark else "light")
            seen.open(page)
            name = "-".join(["look", page.partition("?")[0], *["phone"] * chosen.phone, *["dark"] * chosen.dark])
            print(seen.picture(name, chosen.out))
            for line in (*seen.errors, *seen.outside, *seen.refused):
                print("  ", line)


if __name__ == "__main__":
    main()
