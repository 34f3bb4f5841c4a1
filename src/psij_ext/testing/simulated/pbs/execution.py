"""What PBS's execution daemon does: run a job's processes, watch them, end them, deliver their output."""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import secrets
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from . import resources
from .job import Job
from .texts import from_path, to_path

if TYPE_CHECKING:
    from resource import struct_rusage

    from ..loop import Loop
    from .settings import Settings

NO_HOME, NO_SHELL, OVER_WALLTIME = -2, 254, -29
"""Values of Exit_status: no home folder, no such shell, over the walltime."""

FOLDERS = ('jobs', 'spool', 'aux', 'tmp', 'undelivered')
ENDINGS = {'o': 'OU', 'e': 'ER'}
PAUSE = 0.02
"""Seconds between looks at a session that is being ended."""


def session_members(session: int) -> list[int]:
    """Return the living processes of a session, read from ``/proc``."""
    members = []
    for entry in os.scandir('/proc'):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, 'stat').read_bytes().rpartition(b')')[2].split()
            except OSError:
                continue  # it ended meanwhile
            if int(fields[3]) == session and fields[0] not in (b'Z', b'X'):
                members.append(int(entry.name))
    return members


def send_signal(session: int, number: int) -> None:
    """Send a signal to all processes of a session."""
    for pid in session_members(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its mode; what is no file, such as /dev/null, keeps its own mode."""
    shutil.copyfile(source, target)
    if target.is_file():
        shutil.copymode(source, target)


class Execution:
    """One run of a job.

    :param job: the job; its script and place are set
    :param on_end: called once with the job's Exit_status, when no process of it is left
    """

    def __init__(self, job: Job, loop: Loop, settings: Callable[[], Settings], on_end: Callable[[int], None]) -> None:
        self._job, self._loop, self._settings, self._on_end = job, loop, settings, on_end
        self._process: subprocess.Popen[bytes] | None = None
        self._exit: int | None = None
        self._started = time.time()
        self._ending = self._killed = False
        self._given_status: int | None = None
        self.over_walltime = False
        self.home = Path.home()
        self.usage: struct_rusage | None = None

    @property
    def session(self) -> int:
        """The session's id, which is the pid of its first process; 0 where none could be started."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start the job's shell, which gets the name of the script on its standard input."""
        user = pwd.getpwuid(os.getuid())
        self.home = Path(self._settings().home or user.pw_dir)
        if not self.home.is_dir():
            self._loop.after(0, lambda: self._finish(NO_HOME))
            return
        asked = self._job.values.get('Shell_Path_List', '').partition(',')[0].partition('@')[0]
        shell = asked or self._settings().shell or user.pw_shell
        if Path(shell).name in ('nologin', 'false', ''):
            shell = '/bin/sh'
        arguments, program = ['-' + Path(shell).name], shell
        if self._job.command:
            arguments, program = self._job.command, self._job.command[0]
        try:
            self._process = self._spawn(arguments, program, self._environment(user.pw_name, shell))
        except OSError:
            self._loop.after(0, lambda: self._finish(NO_SHELL))
            return
        self._loop.watch(self._process.pid, self._leader_ended)

    def _spawn(self, arguments: list[str], program: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        read, write = os.pipe()
        if not self._job.command:
            os.write(write, self._script_line())
        os.close(write)
        out, error = self._open('o'), self._open('e')
        try:
            return subprocess.Popen(
                [word.encode('latin-1') for word in arguments],
                executable=program.encode('latin-1'),
                stdin=read,
                stdout=out,
                stderr=error,
                cwd=self.home,
                env={name.encode('latin-1'): value.encode('latin-1') for name, value in environment.items()},
                start_new_session=True,
                umask=int(self._job.values.get('umask', '077'), 8),
            )
        finally:
            for descriptor in (read, out, error):
                os.close(descriptor)

    def _script_line(self) -> bytes:
        """Return what the shell reads; a script that was empty was never stored, so that the shell does not find it."""
        script = Path('jobs', f'{self._job.identifier}.SC').absolute()
        if self._job.script:
            script.write_bytes(self._job.script.encode('latin-1'))
            script.chmod(0o700)
        return os.fsencode(shlex.quote(str(script)) + '\n')

    def _environment(self, user: str, shell: str) -> dict[str, str]:
        job, place = self._job, self._job.place
        node_file = Path('aux', job.identifier).absolute()
        folder = Path('tmp', f'pbs.{job.identifier}').absolute()
        folder.mkdir(mode=0o700, exist_ok=True)
        cpus = threads = '1'
        if place is not None:
            node_file.write_text(place.node_file)
            first = place.shares[0].chunk
            cpus = str(first.number('ncpus'))
            threads = first.amounts.get('ompthreads', cpus)
        environment = {'PATH': '/bin:/usr/bin'}
        environment.update((name, value) for name, _, value in (item.partition('=') for item in job.variables))
        environment.update(
            HOME=from_path(self.home), LOGNAME=user, USER=user, SHELL=shell, ENVIRONMENT='BATCH',
            NCPUS=cpus, OMP_NUM_THREADS=threads, TMPDIR=from_path(folder), PBS_ENVIRONMENT='PBS_BATCH',
            PBS_JOBCOOKIE=secrets.token_hex(16).upper(), PBS_JOBDIR=from_path(self.home), PBS_JOBID=job.identifier,
            PBS_JOBNAME=job.values['Job_Name'], PBS_MOMPORT='15003', PBS_NODEFILE=from_path(node_file),
            PBS_NODENUM='0', PBS_QUEUE=job.values['queue'], PBS_TASKNUM='1',
        )  # fmt: skip
        if 'Account_Name' in job.values:
            environment['PBS_ACCOUNT'] = job.values['Account_Name']
        if job.parent is not None:
            environment.update(PBS_ARRAY_INDEX=str(job.index), PBS_ARRAY_ID=job.parent.identifier)
        return environment

    def _joined(self, letter: str) -> bool:
        """Whether this stream goes where the other one goes."""
        join = self._job.values['Join_Path']
        return join != 'n' and join[0] != letter

    def target(self, letter: str) -> Path:
        """Where output goes in the end: the file that ``-o`` or ``-e`` named."""
        value = self._job.values['Output_Path' if letter == 'o' else 'Error_Path'].partition(':')[2]
        if value.endswith('/'):
            value += f'{self._job.identifier}.{ENDINGS[letter]}'
        return to_path(value.replace('^array_index^', str(self._job.index)))

    def _kept(self, letter: str) -> Path | None:
        """Where ``-k`` makes the job write directly, or None where output is delivered at the end."""
        keep = self._job.values['Keep_Files']
        if letter not in keep:
            return None
        if 'd' in keep:
            return self.target(letter)
        subscript = '' if self._job.index is None else f'.{self._job.index}'
        return self.home / f'{self._job.values["Job_Name"]}.{letter}{self._job.number}{subscript}'

    def _spooled(self, letter: str) -> Path:
        return Path('spool', f'{self._job.identifier}.{ENDINGS[letter]}').absolute()

    def _open(self, letter: str) -> int:
        letter = 'oe'.replace(letter, '') if self._joined(letter) else letter
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._kept(letter) or self._spooled(letter), flags, 0o600)

    @property
    def can_write(self) -> bool:
        """Whether the files can be opened that the job is to write directly."""
        try:
            for letter in 'oe':
                os.close(self._open(letter))
        except OSError:
            return False
        return True

    def deliver(self) -> bool:
        """Bring the output to where it belongs; returns whether all of it arrived."""
        arrived = True
        for letter in 'oe':
            spooled = self._spooled(letter)
            if not spooled.exists():
                continue
            try:
                if letter not in self._job.values.get('Remove_Files', ''):
                    _copy(spooled, self.target(letter))
                spooled.unlink()
            except OSError:
                arrived = False
                shutil.move(spooled, 'undelivered')
        return arrived

    def discard_output(self) -> None:
        """Remove output that nobody will deliver."""
        for letter in 'oe':
            self._spooled(letter).unlink(missing_ok=True)

    def clean_up(self) -> None:
        """Remove what a run leaves on its node."""
        shutil.rmtree(Path('tmp', f'pbs.{self._job.identifier}'), ignore_errors=True)
        for leftover in (Path('aux', self._job.identifier), Path('jobs', f'{self._job.identifier}.SC')):
            leftover.unlink(missing_ok=True)

    def terminate(self) -> None:
        """Send TERM, and KILL to what is left after ``kill_delay``."""
        if not self._ending:
            self._ending = True
            self.signal(signal.SIGTERM)
            self._loop.after(self._settings().kill_delay, self.kill)

    def kill(self) -> None:
        """Send KILL to every process of the job."""
        self._ending = self._killed = True
        if self._exit is None or session_members(self.session):
            self.signal(signal.SIGKILL)

    def kill_at_once(self, exit_status: int) -> None:
        """Kill the job in the moment of its start, when PBS does not know yet what it is to wait for.

        :param exit_status: what PBS then says of it
        """
        self._given_status = exit_status
        self.kill()

    def exceed_walltime(self) -> None:
        """End the job because its time is over, and say so in its output."""
        self.over_walltime = True
        used, limit = int(time.time() - self._started), self._job.wanted.walltime
        descriptor = self._open('e')
        os.write(descriptor, f'=>> PBS: job killed: walltime {used} exceeded limit {limit}\n'.encode())
        os.close(descriptor)
        self.terminate()

    def signal(self, number: int) -> None:
        if self._process is not None:
            send_signal(self.session, number)

    def _leader_ended(self, status: int, usage: struct_rusage) -> None:
        self.usage = usage
        self._exit = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 256 + os.WTERMSIG(status)
        if self._process is not None:
            self._process.returncode = self._exit  # it was waited for here; Popen would wait again
        self._killed = self._killed or not self._ending
        self._wait_for_session()

    def _wait_for_session(self) -> None:
        """Processes that are being ended may outlive the first one until they are killed.

        KILL is sent again and again: a process may have begun another one while its session was looked through.
        """
        if session_members(self.session):
            if self._killed:
                self.signal(signal.SIGKILL)
            self._loop.after(PAUSE, self._wait_for_session)
        elif self._exit is not None:
            status = self._exit if self._given_status is None else self._given_status
            self._finish(OVER_WALLTIME if self.over_walltime else status)

    def _finish(self, exit_status: int) -> None:
        delay = self._settings().finish_delay
        self._loop.after(delay, lambda: self._on_end(exit_status))

    def resources_used(self) -> dict[str, str]:
        """Return ``resources_used`` as PBS reports it at the end of a run."""
        walltime = time.time() - self._started
        if not self.home.is_dir():
            return {'walltime': resources.clock(walltime)}
        cpu, memory = 0.0, 0
        if self.usage is not None:
            cpu = self.usage.ru_utime + self.usage.ru_stime
            # a process counts what its parent had before its own program was loaded
            own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            memory = self.usage.ru_maxrss if self.usage.ru_maxrss > 1.1 * own else 0
        return {
            'cpupercent': str(int(100 * cpu / walltime) if walltime > 1 else 0),
            'cput': resources.clock(cpu),
            'mem': f'{memory}kb',
            'ncpus': self._job.wanted.shown['ncpus'],
            'vmem': f'{memory}kb',
            'walltime': resources.clock(walltime),
        }
