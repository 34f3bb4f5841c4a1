"""Launchers that are a bash script, as plugins bring them that were written for PSI/J."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from psij_ext.core.interfaces import JobExecutorConfig, Launcher
from psij_ext.core.job import Job
from psij_ext.core.places import default_work_directory
from psij_ext.exceptions import InvalidJobException
from psij_ext.installation import data_folder
from psij_ext.runtime.private import check_own_folder, make_folders, write_file

DONE = '_PSI_J_LAUNCHER_DONE'
"""What such a script writes as its last line, once the launch as such has succeeded."""

_LIBRARY = 'launcher_lib.sh'
# Not the name of an executor, and passed over by those who look for folders of jobs.
_FOLDER = '.launchers'


class ScriptBasedLauncher(Launcher):
    """Starts a job's processes by a bash script.

    The script is called with the job's id, the log file, the scripts to run before and after the launch, the files of
    the standard streams, the words of `get_additional_args`, and then the job's own command. It opens the streams
    itself. Where this library's own job scripts call it, the scripts before and after the launch are empty: they are
    run already, or will be.

    It is copied, with a library that it may read in as `$(dirname "$0")/launcher_lib.sh`, into the work directory,
    which the nodes see.

    :param script_path: the script.
    :param config: the configuration of the executor.
    """

    def __init__(self, script_path: str | Path, config: JobExecutorConfig | None = None) -> None:
        super().__init__(config)
        self.script = LauncherScript(script_path, self.config)

    @property
    def opens_streams(self) -> bool:
        """Tell that it does."""
        return True

    def get_additional_args(self, job: Job) -> list[str]:
        """Return what the script is given between the streams and the job's command."""
        return []

    def get_launch_command(self, job: Job, log_file: str | None = None) -> list[str]:
        """Return the command, as a list of arguments, that starts the job's program.

        :param job: the job.
        :param log_file: where the script may write what it does; as the configuration says if None.
        :raises InvalidJobException: if the job has no executable, or the script cannot be copied.
        """
        return self.script.command(job, self.get_additional_args(job), log_file)

    def is_launcher_failure(self, output: str) -> bool:
        """Tell from what the script printed whether the launcher itself failed, not the program."""
        return is_failure(output)


class LauncherScript:
    """The script of a launcher, and the calls of it.

    :param path: the script.
    :param config: the configuration of the executor.
    """

    def __init__(self, path: str | Path, config: JobExecutorConfig) -> None:
        self._path = Path(path)
        self._config = config
        self._copy: Path | None = None

    def command(self, job: Job, additional: list[str], log_file: str | None = None) -> list[str]:
        """Return the command that starts a job's processes; the script is copied first.

        :raises InvalidJobException: if the job has no executable, or the script cannot be copied.
        """
        spec = job.spec
        if spec is None or spec.executable is None:
            raise InvalidJobException('JobSpec.executable: is missing')
        if self._copy is None or not self._copy.exists():
            self._copy = self._deploy()
        log = log_file or self._config.launcher_log_file or '/dev/null'
        around = [spec.pre_launch or '', spec.post_launch or '']
        streams = [path or '/dev/null' for path in (spec.stdin_path, spec.stdout_path, spec.stderr_path)]
        return ['/bin/bash', *map(str, [self._copy, job.id, log, *around, *streams]), *additional,
                str(spec.executable), *(spec.arguments or ())]

    def _deploy(self) -> Path:
        """Copy the script and its library to where the nodes see them, under a name that their contents make."""
        work_directory = (self._config.work_directory or default_work_directory()).absolute()
        try:
            files = {_LIBRARY: (data_folder('templates') / 'launchers' / _LIBRARY).read_bytes(),
                     self._path.name: self._path.read_bytes()}
            digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
            folder = work_directory / _FOLDER / digest
            make_folders(folder)
            check_own_folder(folder)
            for name, content in files.items():
                _write_whole(folder / name, content)
        except OSError as error:
            raise InvalidJobException(f'The script of a launcher, {self._path}, cannot be copied to {work_directory}: '
                                      f'{error}', error) from error
        return folder / self._path.name


def is_failure(output: str) -> bool:
    """Tell from what a script printed whether the launch as such failed."""
    return output.strip().splitlines()[-1:] != [DONE]


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step: another process may be about to run what it has written itself."""
    if path.exists():
        return
    new = f'{path}.{secrets.token_hex(8)}'
    write_file(new, content, 0o700)
    Path(new).replace(path)
