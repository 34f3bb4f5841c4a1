"""The simulated PBS against captures of a real one: what `qstat -f -F json` says of jobs in every state."""

from __future__ import annotations

import os
import shlex
import signal
from typing import TYPE_CHECKING, Callable

import pytest
from pbs_captures import load

if TYPE_CHECKING:
    from conftest import Site

SLEEP = 'sleep 60'
NEVER = 1000.0


# Jobs that end by themselves. The captured ones were over before PBS had heard of their sessions.

ENDS = {
    'qstat-fin-ok': ('-N ok', 'sleep 1 & echo'),
    'qstat-fin-exit3': ('-N exit3', 'exit 3'),
    'qstat-fin-kill9': ('-N kill9', 'kill -9 $$'),
    'qstat-fin-kill9-child': ('-N kill9child', 'sh -c \'kill -9 $$\'\nexit $?'),
    'qstat-fin-kill15': ('-N kill15', 'kill -15 $$'),
    'qstat-fin-exit255': ('-N e255', 'exit 255'),
    'qstat-fin-exit137': ('-N e137', 'exit 137'),
    'qstat-fin-nocmd': ('-N nocmd', 'no-such-command'),
    'qstat-fin-badinterp': ('-N badint', '#!/no/such/interpreter\n'),
    'qstat-fin-pyshebang': ('-N pyshebang', '#!/usr/bin/perl\nexit 4;\n'),
    'qstat-fin-badS': ('-N badS -S /nonexistent/sh', 'true'),
    'qstat-fin-badout': ('-N badout -o /nonexistent/dir/x.out -e /nonexistent/dir/x.err', 'true'),
    'qstat-fin-joined': ('-N dirout -j oe -o {folder}/joined.log', 'true'),
    'qstat-fin-cmd-exit7': ("-N cmdj -- /bin/sh -c 'exit 7'", ''),
    'qstat-fin-numname-123': ('-N 123', 'true'),
    'qstat-fin-numname-007': ('-N 007', 'true'),
    'qstat-fin-numname-1e5': ('-N 1e5', 'true'),
    'qstat-fin-numname-true': ('-N true', 'true'),
    'qstat-fin-numname-1.50': ('-N 1.50', 'true'),
    'qstat-fin-numname-minus5': ('-N -5', 'true'),
    'qstat-fin-numname-0x1F': ('-N 0x1F', 'true'),
    'qstat-fin-numname-nan': ('-N nan', 'true'),
    'qstat-fin-numname-bigint': ('-N 99999999999999999999', 'true'),
}


@pytest.mark.parametrize('name', ENDS)
def test_end(site: Site, name: str) -> None:
    options, script = ENDS[name]
    site.pbs.set(session_delay=NEVER)
    identifier = site.submit(*shlex.split(options.format(folder=site.folder)), script=script)
    site.pbs.wait(identifier, 'F')
    site.agree(name, identifier)


def test_end_of_job_without_home(site: Site) -> None:
    site.pbs.set(home='/nonexistent/home')
    identifier = site.submit('-N', 'nohome')
    site.pbs.wait(identifier, 'F')
    _, out, _ = site.run('qstat', '-f', '-F', 'json', '-x', identifier)
    keys = [line.partition(':')[0] for line in out.splitlines()]
    captured = [line.partition(':')[0] for line in load('qstat-nohome').out.splitlines()]
    # the captured user had neither LANG nor SHELL
    assert [key.split('.')[-1] for key in keys[5:] if not key.strip().endswith(('LANG"', 'SHELL"'))] == [
        key.split('.')[-1] for key in captured[5:]
    ]
    assert '"Exit_status":-2,' in out


# Jobs that wait, run or are ended by somebody, by the name of the capture.


def queued(site: Site) -> str:
    site.pbs.set(scheduling=False)
    return site.submit('-N', 'queued')


def held_by_command(site: Site) -> str:
    identifier = queued(site)
    assert site.run('qhold', identifier) == (0, '', '')
    return identifier


def deleted_while_queued(site: Site) -> str:
    identifier = held_by_command(site)
    assert site.run('qrls', identifier) == (0, '', '')
    assert site.run('qdel', identifier) == (0, '', '')
    return identifier


def queue_stopped(site: Site) -> str:
    site.pbs.set(queue_started=False)
    return site.submit('-N', 'stopped')


def sent(site: Site) -> str:
    """A job that was sent to its node and on which another one depends."""
    site.pbs.set(start_delay=NEVER)
    identifier = site.submit('-N', 'run', script=SLEEP)
    site.submit('-W', f'depend=afterok:{identifier}')
    return identifier


def held_by_dependency(site: Site) -> str:
    return site.submit('-N', 'depok', '-W', f'depend=afterok:{site.submit(script=SLEEP)}')


def started(site: Site) -> str:
    site.pbs.set(session_delay=NEVER)
    identifier = site.submit('-N', 'rootjob', script=SLEEP, user='root')
    site.pbs.wait(identifier, 'R')
    return identifier


def running(site: Site, name: str = 'sub41', script: str = SLEEP) -> str:
    """A job whose script has begun."""
    begun = site.folder / f'{name}.begun'
    begun.unlink(missing_ok=True)
    identifier = site.submit('-N', name, script=f'touch {begun}\n{script}')
    site.pbs.wait(identifier, '42')
    while not begun.exists():
        site.pbs.state(identifier)
    return identifier


def held_while_running(site: Site) -> str:
    identifier = running(site, 'holdrun')
    assert site.run('qhold', identifier) == (0, '', '')
    return identifier


def session_killed(site: Site) -> str:
    """A job whose shell was killed from outside, as by the kernel that is short of memory."""
    identifier = running(site, 'extkill')
    out = site.run('qstat', '-f', identifier)[1]
    os.kill(int(out.partition('session_id = ')[2].partition('\n')[0]), signal.SIGKILL)
    site.pbs.wait(identifier, 'F')
    return identifier


def over_walltime(name: str, script: str) -> Callable[[Site], str]:
    def prepare(site: Site) -> str:
        identifier = site.submit('-N', name, '-l', 'walltime=00:00:01', script=script)
        site.pbs.wait(identifier, 'F')
        return identifier

    return prepare


def deleting(site: Site) -> str:
    identifier = running(site, 'delrun', 'trap "" TERM; sleep 60')
    site.pbs.set(kill_delay=NEVER)
    assert site.run('qdel', identifier) == (0, '', '')
    site.pbs.set(kill_delay=0.3)
    return identifier


def deleted(name: str, script: str = SLEEP, *options: str, user: str = 'tester') -> Callable[[Site], str]:
    def prepare(site: Site) -> str:
        identifier = running(site, name, script)
        assert site.run('qdel', *options, identifier, user=user) == (0, '', '')
        site.pbs.wait(identifier, 'F')
        return identifier

    return prepare


def signalled(name: str, signal: str) -> Callable[[Site], str]:
    def prepare(site: Site) -> str:
        identifier = running(site, name)
        assert site.run('qsig', '-s', signal, identifier) == (0, '', '')
        site.pbs.wait(identifier, 'F')
        return identifier

    return prepare


def requeued(site: Site) -> str:
    identifier = running(site, 'requeue', 'sleep 0.5')
    site.pbs.set(start_delay=NEVER)
    assert site.run('qrerun', identifier, user='root') == (0, '', '')
    site.pbs.wait(identifier, 'R')
    return identifier


def requeued_and_ended(site: Site) -> str:
    identifier = running(site, 'requeue', 'sleep 0.5')
    assert site.run('qrerun', identifier, user='root') == (0, '', '')
    site.pbs.wait(identifier, 'F')
    return identifier


def kept(site: Site) -> str:
    words = f'-N kod -k oed -o {site.folder}/kod.out -e {site.folder}/kod.err'
    identifier = site.submit(*words.split(), script='sleep 0.3')
    site.pbs.wait(identifier, 'F')
    return identifier


def dependent_on(name: str, script: str, other_ends_first: bool) -> Callable[[Site], str]:
    """A job that depends on the success of another one."""

    def prepare(site: Site) -> str:
        other = site.submit(script=script if other_ends_first else f'sleep 0.3; {script}')
        if other_ends_first:
            site.pbs.wait(other, 'F')
            site.pbs.set(session_delay=NEVER)
        identifier = site.submit('-N', name, '-W', f'depend=afterok:{other}')
        site.pbs.wait(identifier, 'F')
        return identifier

    return prepare


def submitted(*words: str) -> Callable[[Site], str]:
    return lambda site: site.submit(*words)


STATES: dict[str, Callable[[Site], str]] = {
    'qstat-queued': queued,
    'qstat-queued-neverrun': submitted('-N', 'toobig', '-l', 'select=1:ncpus=1000'),
    'qstat-held-user': submitted('-N', 'heldh', '-h'),
    'qstat-held-qhold': held_by_command,
    'qstat-held-depend': held_by_dependency,
    'qstat-qdel-queued': deleted_while_queued,
    'qstat-queue-stopped': queue_stopped,
    'qstat-running': sent,
    'qstat-otheruser': started,
    'qstat-running-42': running,
    'qstat-qhold-running': held_while_running,
    'qstat-qdel-running-at-once': deleting,
    'qstat-qdel-running': deleted('delrun'),
    'qstat-qdel-running-trap': deleted('deltrap', 'trap "" TERM\nsleep 60'),
    'qstat-qdel-running-handler': deleted('delhandler', 'trap "exit 5" TERM\nsleep 60 & wait'),
    'qstat-qdel-force-root': deleted('delforce', SLEEP, '-W', 'force', user='root'),
    'qstat-qsig-kill': signalled('sigkill', 'SIGKILL'),
    'qstat-qsig-term': signalled('sigterm', 'SIGTERM'),
    'qstat-requeued': requeued,
    'qstat-fin-requeued': requeued_and_ended,
    'qstat-session-killed': session_killed,
    'qstat-walltime-wall': over_walltime('wall', SLEEP),
    'qstat-walltime-walltrap': over_walltime('walltrap', 'trap "" TERM\nsleep 60'),
    'qstat-waiting-a': submitted('-N', 'waita', '-a', '203011201123'),
    'qstat-koed': kept,
    'qstat-dep-failed-child': dependent_on('depchild', 'exit 3', other_ends_first=False),
    'qstat-dep-on-finished-failed': dependent_on('deplate', 'exit 3', other_ends_first=True),
    'qstat-dep-on-finished-ok': dependent_on('deplateok', 'true', other_ends_first=True),
    'qstat-dep-on-unknown': submitted('-W', 'depend=afterok:999999.pbshost1'),
}


LATER = ('qstat-running', 'qstat-requeued')
"""Captures whose second client asked a moment later, when the job had come further."""


@pytest.mark.parametrize('name', STATES)
def test_state(site: Site, name: str) -> None:
    identifier = STATES[name](site)
    site.agree(name, identifier, outputs=('23.06',) if name in LATER else ('23.06', 'head'))
