"""What all tests share."""

from hypothesis import settings

# The same examples in each run: a red test stays red until it is mended.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")
