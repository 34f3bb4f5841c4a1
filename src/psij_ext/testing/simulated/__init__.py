"""Simulated schedulers: commands to put on PATH and a server behind them, so that tests run real subprocesses."""

from __future__ import annotations

from .pbs import SimulatedPBS

__all__ = ['SimulatedPBS']
