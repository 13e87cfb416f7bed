"""Experiments: the assistant against the baseline, by metric, segment and time."""

from __future__ import annotations

from dashboards.shell import view


def main() -> None:
    """Config, data, figures, page."""
    view()


main()
