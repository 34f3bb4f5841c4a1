"""Simulated schedulers: commands to put on PATH and a server behind them, so that tests run real subprocesses."""

from __future__ import annotations

from .pbs import SimulatedPBS
from .scheduler import SimulatedScheduler

SIMULATED = {'pbspro': SimulatedPBS}
"""The simulations, by the name of the executor that their commands are for."""

__all__ = ['SIMULATED', 'SimulatedPBS', 'SimulatedScheduler']
