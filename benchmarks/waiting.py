"""What 10,000 waiting jobs cost: `python benchmarks/waiting.py` submits them to Slurm and follows them; prints JSON."""

from __future__ import annotations

import gc
import json
import os
import time

from measure import Row, in_a_process, resident_memory

import psij_ext

JOBS = 10_000
MEMORY_LIMIT = 60e6
CPU_LIMIT = 0.01
SECONDS_TO_BEGIN = 5.0
SECONDS = 60.0


def rows() -> list[Row]:
    """Measure it in a process of its own, on a Slurm where nothing starts."""
    from cluster import nothing_starts

    with nothing_starts():
        told = in_a_process('waiting.py')
    memory, cpu, commands = told['memory'], told['cpu'] / told['seconds'], told['commands'] / told['seconds']
    return [
        Row(f'memory of {JOBS} jobs that are followed, above import', f'{memory / 1e6:.1f} MB',
            f'{MEMORY_LIMIT / 1e6:.0f} MB', memory / MEMORY_LIMIT, 1.0),
        Row(f'CPU of the submitting process while {JOBS} jobs wait', f'{cpu:.2%} of a core', f'{CPU_LIMIT:.0%}',
            cpu / CPU_LIMIT, 1.0),
        Row('the same with the commands that it runs', f'{cpu + commands:.2%} of a core', f'{CPU_LIMIT:.0%}',
            (cpu + commands) / CPU_LIMIT)]


def wait() -> dict[str, float]:
    """Submit the jobs, and give what they cost while they wait."""
    before = resident_memory()
    from cluster import executor_of_its_own  # and with it what our executor needs

    with executor_of_its_own() as executor:
        jobs = [psij_ext.Job(psij_ext.JobSpec(
            '/usr/bin/simulate', ['--seed', str(number)], name=f'sim-{number}',
            resources=psij_ext.ResourceSpecV1(node_count=1, processes_per_node=1),
            attributes=psij_ext.JobAttributes(queue_name='debug'))) for number in range(JOBS)]
        executor.submit_many(jobs)
        time.sleep(SECONDS_TO_BEGIN)  # the first query is over
        gc.collect()
        memory = resident_memory() - before
        began, cpu = time.monotonic(), os.times()
        time.sleep(SECONDS)
        later, seconds = os.times(), time.monotonic() - began
    return {'memory': memory, 'cpu': later.user + later.system - cpu.user - cpu.system, 'seconds': seconds,
            'commands': later.children_user + later.children_system - cpu.children_user - cpu.children_system}


if __name__ == '__main__':
    print(json.dumps(wait()))
