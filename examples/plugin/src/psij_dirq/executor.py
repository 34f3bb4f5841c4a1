"""The dialect of Dirq: how its commands are called, and how their answers read.

The source is `dirq --help`; outputs are recorded in `tests/recorded`. Nothing here runs a command or looks at a file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Mapping, Sequence

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation, Site
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import InvalidJobException, ParseError, SubmitException
from psij_ext.executors.batch import BatchSchedulerExecutor
from psij_ext.runtime.command import CommandResult, command_error

_SUBMITTED = re.compile(r'job ([1-9]\d*) is in the queue\n')
_LINE = re.compile(r'([1-9]\d*) (waiting|held|running|ended|killed|cancelled|timeout|lost)(?: (\d+))?')
_STATES = {'waiting': JobState.QUEUED, 'held': JobState.QUEUED, 'running': JobState.ACTIVE,
           'killed': JobState.FAILED, 'cancelled': JobState.CANCELED, 'timeout': JobState.FAILED,
           'lost': JobState.FAILED}
_REASONS = {'ended': ExitReason.EXITED, 'killed': ExitReason.SIGNALED, 'cancelled': ExitReason.CANCELED,
            'timeout': ExitReason.TIMEOUT, 'lost': ExitReason.LOST}
# Exit codes of dirq: the job is over or unknown, the queue is full, and the queue cannot be used.
_OVER, _FULL, _NO_QUEUE = 3, 75, 69
# What a job may ask for that no directive of dirq can say, as keys of the template.
_NOT_THERE = {'gpu_cores_per_process': 'GPUs', 'memory': 'memory', 'exclusive_node_use': 'nodes of its own',
              'reservation_id': 'reservations'}


class DirqJobExecutor(BatchSchedulerExecutor):
    """Runs jobs on Dirq. Custom attributes that begin with `dirq.` become directives: `dirq.hold` holds a job."""

    template = Path(__file__).with_name('dirq.mustache')
    custom_attribute_prefixes = ('dirq',)
    label_options = {'name': '--name', 'queue_name': '--queue', 'account': '--account'}
    refused_attributes = {
        'cpus': 'use JobSpec.resources', 'environment': 'use JobSpec.inherit_environment', 'name': 'use JobSpec.name',
        'limit': 'use JobAttributes.duration', 'output': 'use JobSpec.stdout_path'}
    hold_attributes = {'dirq.hold': None}
    native_id_pattern = re.compile(r'[1-9][0-9]*')
    native_variables = ('DIRQ_',)
    kept_variables = ('DIRQ_HOME',)

    def dialect_context(self, job: Job, context: Mapping[str, object]) -> Dict[str, object]:
        """Return what the template has beyond the common keys; what dirq cannot express is refused."""
        for key, what in _NOT_THERE.items():
            if context[key]:
                raise InvalidJobException(f'{key}: dirq knows no {what}.')
        if context['node_count'] != 1:
            raise InvalidJobException('node_count: dirq has one node.')
        processes, cores = context['process_count'], context['cpu_cores_per_process'] or 1
        return {'cpus': processes * cores if isinstance(processes, int) and isinstance(cores, int) else 1}

    # -- submitting

    def get_submit_command(self, job: Job, submit_file_path: Path) -> List[str]:
        """Return the command; the options of `label_options` go before its last argument."""
        return ['dirq', 'submit', str(submit_file_path)]

    def job_id_from_submit_output(self, out: str) -> str:
        """Read the id; a line that is cut short may have lost digits of it."""
        match = _SUBMITTED.search(out)
        if match is None:
            raise ParseError(f'dirq named no job: {out!r}')
        return match[1]

    def is_transient(self, result: CommandResult) -> bool:
        """Tell whether the same submission may succeed later."""
        return result.exit_code in (_FULL, _NO_QUEUE)

    # -- following

    def get_status_command(self, native_ids: Sequence[str]) -> List[str]:
        """Return one command for all jobs; without any id it lists those that are not over."""
        return ['dirq', 'status', *native_ids]

    def parse_status(self, result: CommandResult) -> Mapping[str, Observation]:
        """Read states, exit codes and reasons; jobs that dirq does not know are not among them."""
        if result.exit_code != 0:
            raise command_error('dirq did not tell of the jobs', result)
        return _read_jobs(result.text)

    def parse_status_output(self, exit_code: int, out: str) -> Dict[str, JobStatus]:
        """Read the states alone, as PSI/J's interface has it."""
        if exit_code != 0:
            raise ParseError(f'dirq failed with exit code {exit_code}: {out}')
        return {native_id: seen.status for native_id, seen in _read_jobs(f'{out}\n' if out else '').items()}

    def parse_list_output(self, out: str) -> List[str]:
        """Read the ids; the command is `get_status_command` without any."""
        return [*_read_jobs(out)]

    # -- cancelling and holding

    def get_cancel_command(self, native_id: str) -> List[str]:
        """Return the command."""
        return ['dirq', 'cancel', native_id]

    def process_cancel_command_output(self, exit_code: int, out: str) -> None:
        """Check what a cancel that failed printed; that a job is over or forgotten is no error."""
        if exit_code != _OVER:
            raise SubmitException(f'dirq failed with exit code {exit_code}: {out}', exit_code=exit_code, stderr=out)

    def get_hold_command(self, native_id: str) -> List[str]:
        """Return the command."""
        return ['dirq', 'hold', native_id]

    def get_release_command(self, native_id: str) -> List[str]:
        """Return the command."""
        return ['dirq', 'release', native_id]

    def is_without_answer(self, result: CommandResult) -> bool:
        """Tell whether the queue could not be used; then nobody knows what became of a command."""
        return result.exit_code == _NO_QUEUE

    # -- the site

    def get_site_command(self) -> List[str]:
        """Return the command."""
        return ['dirq', 'site']

    def parse_site(self, result: CommandResult) -> Site:
        """Read the version; dirq never forgets a job that is over."""
        match = re.match(r'dirq (\d+(?:\.\d+)*)\n', result.text)
        if result.exit_code != 0 or match is None:
            raise command_error('dirq did not tell of its site', result)
        return Site(product='dirq', version=tuple(map(int, match[1].split('.'))), accounting=False, history=True)

    def get_version_command(self) -> List[str]:
        """Return the command."""
        return ['dirq', '--version']

    def parse_version(self, result: CommandResult) -> str:
        """Read product and version."""
        match = re.fullmatch(r'dirq (\d\S*)\n', result.text)
        if match is None:
            raise ParseError(f'No version of dirq: {result.combined_text!r}')
        return f'Dirq {match[1]}'


def _read_jobs(text: str) -> Dict[str, Observation]:
    """Read lines such as `12 running` and `13 ended 3`; one that is cut short may look like another."""
    seen = {}
    if text and not text.endswith('\n'):
        raise ParseError(f'The answer of dirq is cut short: {text[-40:]!r}')
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None or (match[2] in ('ended', 'killed')) is not (match[3] is not None):
            raise ParseError(f'This line of dirq cannot be read: {line!r}')
        seen[match[1]] = _job(match[2], None if match[3] is None else int(match[3]))
    return seen


def _job(word: str, number: int | None) -> Observation:
    signal = number if word == 'killed' else None
    exit_code = number if signal is None else 128 + signal
    state = _STATES.get(word, JobState.FAILED if exit_code else JobState.COMPLETED)
    status = JobStatus(state, exit_code=exit_code, metadata={'native_state': word})
    return Observation(status, reason=_REASONS.get(word), signal=signal)
