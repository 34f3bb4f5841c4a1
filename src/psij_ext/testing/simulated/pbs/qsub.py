"""The command ``qsub`` (PBS Professional's qsub(1B)): from a call to a job in the queue."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable

from .arguments import parse
from .qstat import Answer
from .refusal import Refusal, SubmissionRefusal
from .submission import COMMAND_LINE, LETTERS, USAGE, Submission, read_script_file
from .texts import to_path

if TYPE_CHECKING:
    from ..loop import Call
    from .job import Job
    from .settings import Settings


def needs_input(call: Call) -> bool:
    """Whether ``qsub`` would read its script from standard input."""
    arguments = parse(call.path, call.arguments, LETTERS)
    return not arguments.errors and not arguments.dashes and arguments.operands in ([], ['-'])


def _read(call: Call, script: str | None, settings: Settings) -> Submission:
    """Read command line and script; `script` is what came on standard input."""
    arguments = parse(call.path, call.arguments, LETTERS)
    submission = Submission(call.environment.get('PWD', call.folder), call.environment)
    if not _same_folder(submission.folder, call.folder):
        submission.folder = call.folder
    if arguments.errors:
        raise Refusal(2, ''.join(arguments.errors), usage=True)
    submission.read_options(arguments, COMMAND_LINE)
    name = 'STDIN'
    if arguments.dashes:
        if not arguments.operands:
            raise Refusal(2, '', usage=True)
        submission.command = arguments.operands
    elif script is None:
        if len(arguments.operands) > 1:
            raise Refusal(2, '', usage=True)
        name = arguments.operands[0].rpartition('/')[2]
        script = read_script_file(arguments.operands[0], call.folder)
    if script is not None:
        submission.read_script(script)
        if settings.output == 'head' and '\r\n' in script:
            raise Refusal(1, 'script contains cr, lf')
    submission.complete(name, settings.pass_environment, settings.server)
    return submission


def _same_folder(one: str, other: str) -> bool:
    """Whether two texts name the same folder: ``$PWD`` counts only where it is true."""
    try:
        return one.startswith('/') and to_path(one).samefile(to_path(other))
    except OSError:
        return False


def _unreachable(submission: Submission, environment: dict[str, str], settings: Settings) -> Answer | None:
    """Return the answer of a ``qsub`` that finds no server, or None where it finds one."""
    if not re.fullmatch(r'[\w.+-]*(@\S*)?', submission.destination, re.ASCII):
        raise Refusal(2, f'illegally formed destination: {submission.destination}')
    wanted = submission.destination.partition('@')[2] or environment.get('PBS_SERVER', settings.server)
    if wanted not in (settings.server, 'localhost'):
        return Answer('', f'Unknown Host.\nqsub: cannot connect to server {wanted[:7]} (errno=15008)\n', 160)
    if settings.down:
        server = settings.server[:7]
        return Answer('', f'Connection refused\nqsub: cannot connect to server {server} (errno=15010)\n', 162)
    return None


def submit(
    call: Call, script: str | None, settings: Settings, admit: Callable[[Submission], Job]
) -> tuple[Answer, Job | None]:
    """Answer ``qsub``.

    :param script: what came on standard input, or None where it was not read
    :param admit: makes a job of a submission and queues it
    :return: the answer and, where ``qsub`` waits for its end (``-W block=true``), the job.
    """
    try:
        submission = _read(call, script, settings)
        unreachable = _unreachable(submission, call.environment, settings)
        if unreachable is not None:
            return unreachable, None
        job = admit(submission)
    except SubmissionRefusal as refusal:
        return Answer('', f'qsub: {refusal.message}\n', refusal.code), None
    except Refusal as refusal:
        # getopt's own messages name the command already
        complete = not refusal.message or refusal.message.endswith('\n')
        text = refusal.message if complete else f'qsub: {refusal.message}\n'
        return Answer('', text + (USAGE if refusal.usage else ''), refusal.code), None
    out = '' if submission.quiet else f'{job.identifier}\n'
    return Answer(out), job if submission.blocks else None
