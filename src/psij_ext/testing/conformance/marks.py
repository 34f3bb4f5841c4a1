"""On which of the executors a test runs, where that is not all of them."""

import pytest

# What the test is about is the same with each launcher.
once = pytest.mark.conformance(any_launcher=True)
# There is no queue to name, and no second node.
on_batch = pytest.mark.conformance(not_on=('local',), any_launcher=True)
