"""The conformance suite, on the executors of `pytest --executors=...`."""

from psij_ext.testing.conformance.test_arrays import *  # noqa: F403
from psij_ext.testing.conformance.test_cancelling import *  # noqa: F403
from psij_ext.testing.conformance.test_controlling import *  # noqa: F403
from psij_ext.testing.conformance.test_depending import *  # noqa: F403
from psij_ext.testing.conformance.test_environment import *  # noqa: F403
from psij_ext.testing.conformance.test_files import *  # noqa: F403
from psij_ext.testing.conformance.test_following import *  # noqa: F403
from psij_ext.testing.conformance.test_refusing import *  # noqa: F403
from psij_ext.testing.conformance.test_resources import *  # noqa: F403
from psij_ext.testing.conformance.test_running import *  # noqa: F403
from psij_ext.testing.conformance.test_staging import *  # noqa: F403
