"""Rollout: phases, gates and certificates, what the policy cannot see, what a change of it would do."""

from __future__ import annotations

from dashboards.shell import view


def main() -> None:
    """Config, data, figures, page."""
    view()


main()
