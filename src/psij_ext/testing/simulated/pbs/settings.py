"""What a simulated PBS can be told: how its cluster looks, how fast it is, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Settings:
    """The switches of a simulated PBS; all times in seconds.

    A real PBS needs one to three seconds for most of the steps that have a delay here; the defaults make tests fast.

    :param server, version: the names that PBS gives of itself
    :param nodes, cpus, memory, gpus: how many nodes there are, and what each has; memory in kB; without gpus PBS does
        not know the resource ``ngpus``
    :param queues: the execution queues; jobs go to the first where they name none
    :param output: ``'23.06'``: JSON as OpenPBS 23.06.06 writes it, defects included; ``'head'``: as its successor does
    :param history: whether finished jobs are kept (``job_history_enable``); off in a PBS that nobody configured
    :param history_duration: how long they are kept (``job_history_duration``)
    :param pass_environment: whether ``qsub -V`` works; in 23.06.06 it passes nothing
    :param managers: users who may do what only a manager may (``qrerun``, ``qsig -s suspend``)
    :param home, shell: where and by what jobs run; otherwise as the user database says
    :param start_delay, session_delay: from substate 41 to the job's start, and from there to substate 42
    :param finish_delay: from the end of a job's processes until PBS sees it; the job shows R meanwhile
    :param staging_delay: how long a job shows E while its output is delivered
    :param delivery_timeout: how long PBS tries to deliver output that cannot be delivered (E meanwhile; 30 s in a real
        one)
    :param kill_delay: from TERM to KILL
    :param early_exit_status: what becomes of a job that is deleted in substate 41: it is killed without TERM and has
        this Exit_status, of which 0, 265 and 271 were seen on a real PBS; with None it gets TERM as later
    :param reply_delay: how long an answer takes that PBS has already acted on
    :param scheduling, queue_enabled, queue_started: whether jobs are started, accepted, started from the queues
    :param max_array_size, max_queued, max_walltime: limits for arrays, for a user's queued jobs and for the walltime
    :param down, hung: whether the server refuses connections, or accepts them and says nothing
    """

    server: str = 'pbshost1'
    version: str = '23.06.06'
    nodes: int = 2
    cpus: int = 8
    memory: int = 16 << 20
    gpus: int = 0
    queues: tuple[str, ...] = ('workq',)
    output: str = '23.06'
    history: bool = False
    history_duration: float = 336 * 3600.0
    pass_environment: bool = False
    managers: tuple[str, ...] = ('root',)
    home: str | None = None
    shell: str | None = None
    start_delay: float = 0.0
    session_delay: float = 0.05
    finish_delay: float = 0.02
    staging_delay: float = 0.0
    delivery_timeout: float = 0.2
    kill_delay: float = 1.0
    early_exit_status: int | None = None
    reply_delay: float = 0.0
    scheduling: bool = True
    queue_enabled: bool = True
    queue_started: bool = True
    max_array_size: int = 10000
    max_queued: int | None = None
    max_walltime: int | None = None
    down: bool = False
    hung: bool = False

    def __post_init__(self) -> None:
        if self.output not in ('23.06', 'head'):
            raise ValueError(f"Settings.output: '23.06' or 'head' expected, not {self.output!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # from JSON
                object.__setattr__(self, field.name, tuple(value))


FIXED = ('server', 'version', 'nodes', 'cpus', 'memory', 'gpus', 'queues')
"""Settings that cannot change while the simulation runs."""
