"""Jobs whose scripts are not ours, but all a plugin's that was written for PSI/J.

Such a script claims nothing: nobody can revoke it, and what runs it twice is not stopped. It gives no hints, so its
folder is read in every round. Of its end it leaves the exit code of the launch command in `NATIVE_ID.ec`, and of what
it has to say `NATIVE_ID.out`, both in the job's folder: these are the files that the documentation of PSI/J's
`BatchSchedulerExecutor` asks for. An exit code is evidence of an end as an exit record of ours is; it says nothing of
signals, and nothing of which run of the job it is about.

The launch command that we give to such a script tells a little more, where the script uses it: how far it came, in
`step`, and when it launched what, in `progress`; and it removes what an earlier run left as its exit code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from psij_ext.installation import data_folder
from psij_ext.runtime.private import read_file
from psij_ext.runtime.records import ExitRecord

LAUNCH = 'launch'
_EXIT_CODE = re.compile(rb'\s*(\d{1,3})\s*')
_STEPS = ('directory', 'pre_launch', 'launch', 'done')
_LONGEST_STEP = 8192
_TRACES = ('.ec', '.out')
# The files `scheduler.out` and `launcher.out` are no traces of a job of such a name.
_OTHER_OUTPUT = {'scheduler', 'launcher'}


def claims(script: str, nonce: str) -> bool:
    """Tell whether a script claims its submission, as ours do, under this nonce."""
    return f'/claim.{nonce}\n' in script


def launch_script() -> str:
    """Return the script that does what the launch command of such a script has to do."""
    return (data_folder('templates') / 'launchers' / 'launch.sh').read_text(encoding='utf-8')


def launch_words(context: Mapping[str, object]) -> list[str]:
    """Return the launch command for such a script; the script of `launch_script` lies in the job's folder then.

    :param context: what the templates of our own scripts may use of the job.
    """
    errors = context['stdout_path'] if context['joined'] else context['stderr_path']
    streams = [context['stdin_path'], context['stdout_path'], errors]
    around = [context['pre_launch'] or '', context['post_launch'] or '']
    command = context['launch_command']
    words = [f'{context["folder"]}/{LAUNCH}', context['job_id'], context['log_file'] or '/dev/null', *around, *streams,
             context['directory'], *(command if isinstance(command, list) else ())]
    return ['/bin/bash', *map(str, words)]


def read_exit_code(folder: str, native_id: str) -> ExitRecord | None:
    """Read the exit code of a job of this kind; None while there is none.

    :raises OSError: if it cannot be read now.
    """
    name = f'{folder}/{native_id}.ec'
    content = None if '/' in native_id else read_file(name, 64)
    # It is not written in one step.
    code = None if content is None else _EXIT_CODE.fullmatch(content)
    if code is None:
        return None
    phase, unbegun = _read_step(folder)
    return ExitRecord(attempt=1, native_id=native_id, exit_code=int(code[1]), phase=phase, term_seen=False,
                      ended=Path(name).stat().st_mtime, counts_runs=False, unbegun=unbegun)


def _read_step(folder: str) -> tuple[str, str | None]:
    """Read how far the launch command came, and what kept the job's own from beginning."""
    lines = (read_file(f'{folder}/step', _LONGEST_STEP) or b'').decode('utf-8', 'replace').split('\n', 1)
    if lines[0] not in _STEPS:
        return 'done', None
    return lines[0], (lines[1].rstrip('\n') or None) if len(lines) > 1 else None


def leaves_exit_code(script: bytes) -> bool:
    """Tell whether a script of this kind leaves its exit code, as PSI/J asks of it."""
    return b'.ec' in script


def begun_as(folder: Path) -> str | None:
    """Return under which native id a script of this kind began, or ended; None while it has left nothing.

    :raises OSError: if that cannot be told now.
    """
    names = {path.stem for path in folder.iterdir() if path.suffix in _TRACES} - _OTHER_OUTPUT
    return names.pop() if len(names) == 1 else None
