"""Incidents: what happened, why, and what was done."""

from __future__ import annotations

from dashboards.shell import view


def main() -> None:
    """Config, data, figures, page."""
    view()


main()
