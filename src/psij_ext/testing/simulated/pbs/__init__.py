"""A simulated PBS Pro: real commands, a server process, real jobs; answers in the shape of captures of a real one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..scheduler import SimulatedScheduler
from .settings import FIXED, Settings


class SimulatedPBS(SimulatedScheduler):
    """A PBS Pro for tests, in a folder of its own.

    >>> with SimulatedPBS(folder, history=True) as pbs:            # doctest: +SKIP
    ...     pbs.run('qsub', '-N', 'job', stdin=b'echo hello')

    :param folder: where commands, spool and socket lie
    :param settings: see `Settings`
    :raises TypeError, ValueError: a setting that does not exist or that has no such value
    """

    module = 'pbs'
    commands = ('qsub', 'qstat', 'qdel', 'qhold', 'qrls', 'qrerun', 'qsig', 'qselect')

    def __init__(self, folder: Path, **settings: Any) -> None:
        Settings(**settings)
        super().__init__(folder, settings)

    def set(self, **settings: Any) -> None:
        """Change settings while the simulation runs.

        :raises TypeError, ValueError: a setting that does not exist, that cannot change any more, or that has no such
            value
        """
        Settings(**settings)
        fixed = sorted(set(FIXED) & set(settings))
        if fixed:
            raise ValueError(f'cannot change while the simulation runs: {", ".join(fixed)}')
        super().set(**settings)

    def state(self, identifier: str) -> tuple[str, ...]:
        """Return state and substate of a job, ``('R', '42')``; nothing where the server does not know it (any more)."""
        return tuple(self.switch('state', identifier=identifier))

    def wait(self, identifier: str, state: str, timeout: float = 20) -> None:
        """Wait until a job is in a state or substate, or ``'gone'``.

        :raises TimeoutError: it is not in `timeout` seconds
        """
        end = time.monotonic() + timeout
        while state not in (found := self.state(identifier) or ('gone',)):
            if time.monotonic() > end:
                raise TimeoutError(f'job {identifier} is {"/".join(found)}, not {state}')
            time.sleep(0.005)

    def down(self) -> None:
        """Make the server refuse connections; jobs that run go on."""
        self.set(down=True)

    def up(self) -> None:
        """Bring a server back that was down."""
        self.set(down=False)

    def hang(self) -> None:
        """Make the server accept connections and say nothing; commands wait until somebody kills them."""
        self.set(hung=True)

    def resume(self) -> None:
        """Let a hung server go on: it answers who still waits, and deletes, holds and so on for who has left.

        A submission whose ``qsub`` was killed meanwhile is lost, as in a real PBS, and its number with it.
        """
        self.set(hung=False)

    def restart(self) -> None:
        """Restart the server: what runs is killed, comes back to the queue and runs again."""
        self.switch('restart')

    def lose_state(self) -> None:
        """Make the server forget every job, as one does that comes back on an empty disk, and count ids anew.

        What ran is killed without a word. That is how the simulation does it; no real PBS was seen to lose its state.
        """
        self.switch('lose')


__all__ = ['Settings', 'SimulatedPBS']
