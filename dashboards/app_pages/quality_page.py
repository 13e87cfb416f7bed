"""Quality: is what it says right and safe."""

from __future__ import annotations

from dashboards.shell import view


def main() -> None:
    """Config, data, figures, page."""
    view()


main()
