"""Governance: the record, and whether it holds."""

from __future__ import annotations

from dashboards.shell import view


def main() -> None:
    """Config, data, figures, page."""
    view()


main()
