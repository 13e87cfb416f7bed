"""Settings of the whole suite: `make test` is reproducible, `make fuzz` looks for new examples."""

import os

from hypothesis import settings

# The same commit passes or fails the same way each time; what random search finds becomes an @example or a mended test.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("fuzz", derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
