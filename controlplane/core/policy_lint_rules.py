"""What the parts of the linter share: where problems go, and how bad they are."""

from __future__ import annotations

from typing import Protocol

from controlplane.core.toml_lines import Path

WARNING = "warning"
ERROR = "error"


class Report(Protocol):
    """Takes problems: where, what is wrong, what to do."""

    def problem(self, path: Path, message: str, remedy: str, severity: str = ERROR) -> None: ...
