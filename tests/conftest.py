"""Settings of the whole suite: `make test` is reproducible, `make fuzz` looks for new examples."""

import os

import pytest
from hypothesis import settings

# The same commit passes or fails the same way each time; what random search finds becomes an @example or a mended test.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("fuzz", derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that runs the demo comes first: whoever needs its workspace later does not wait for it."""
    items.sort(key=lambda item: item.path.name != "test_demo.py")


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: a third of the suite waits for servers and browsers."""
    return (os.cpu_count() or 1) + 1
