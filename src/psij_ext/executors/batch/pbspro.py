"""The dialect of PBS Pro and OpenPBS: qsub(1B), qstat(1B), qdel(1B), qsig(1B), qhold(1B), qrls(1B), qselect(1B).

The source is the PBS Reference Guide, where nothing else is said.
"""

from __future__ import annotations

import re
import signal as signals
from pathlib import Path
from typing import Dict, List, Mapping, Sequence

from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation, Site
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import InvalidJobException, ParseError, SubmitException
from psij_ext.executors.batch import pbspro_errors, pbspro_native_record, pbspro_records
from psij_ext.executors.batch.base import BatchSchedulerExecutor
from psij_ext.executors.batch.config import BatchSchedulerExecutorConfig
from psij_ext.executors.batch.dialect import Refusal
from psij_ext.installation import data_folder
from psij_ext.runtime.command import CommandResult, command_error
from psij_ext.runtime.script import hours_minutes_seconds
from psij_ext.runtime.templates import Verbatim

_JOB_ID = re.compile(rf'^({pbspro_records.NATIVE_ID.pattern})[^\S\n]*\n', re.ASCII | re.MULTILINE)
# What qsub -N was seen to refuse; the name is a label, so these are replaced, and the original stays in the spec.
_NOT_IN_A_NAME = re.compile(r'[^A-Za-z0-9._+-]')
_DELIMITER = '\x1e'
# What max_array_size is where nobody set it.
_USUAL_MAX_ARRAY_SIZE = 10_000
# qsub takes the limit since OpenPBS 22.05, and so PBS Pro since 2021.1: it came in September 2020.
_FIRST_WITH_THROTTLE, _LAST_WITHOUT = 22, 2020
# signal(7): what passes over or stops a process that has made no arrangements.
_HARMLESS_SIGNALS = (
    signals.SIGCHLD, signals.SIGCONT, signals.SIGSTOP, signals.SIGTSTP, signals.SIGTTIN, signals.SIGTTOU,
    signals.SIGURG, signals.SIGWINCH)
# Together the arguments of a command may take some 2 MB (execve(2)); more ids than these are asked for as "all jobs".
_MOST_IDS = 10_000


class PBSProExecutorConfig(BatchSchedulerExecutorConfig):
    """How the PBS Pro executor works; it has no settings beyond the common ones."""


class PBSProJobExecutor(BatchSchedulerExecutor):
    """Runs jobs on PBS Pro and OpenPBS.

    Custom attributes that begin with `pbspro.` or `pbs.` become options of qsub: a name of one letter is the option
    of that letter (`pbs.P` with the value `project7` is `-P project7`), a longer one is a resource (`pbs.filesystems`
    with the value `home` is `-l filesystems=home`). A reservation is a queue of its own in PBS, so a job cannot have
    both. A name is cut and its odd characters are replaced, since PBS takes few.
    """

    template = data_folder('templates') / 'batch' / 'pbspro.mustache'
    config_class = PBSProExecutorConfig
    custom_attribute_prefixes = ('pbspro', 'pbs')
    label_options = {'queue_name': '-q', 'account': '-A'}
    longest_labels = {'name': 230}
    refused_attributes = {
        'C': 'the directives are ours', 'I': 'nobody would be there to talk to the job', 'J': 'one job is one job here',
        'N': 'use JobSpec.name', 'S': 'the script is ours', 'V': 'use JobSpec.inherit_environment',
        'X': 'nobody would be there to talk to the job', 'e': 'use JobSpec.stderr_path', 'j': 'use JobSpec.stderr_path',
        'o': 'use JobSpec.stdout_path', 'v': 'use JobSpec.environment', 'z': 'qsub must print the id of the job',
        'W=block=true': 'use Job.wait'}
    native_id_pattern = pbspro_records.NATIVE_ID
    native_variables = ('PBS_',)
    kept_variables = (
        'PBS_AUTH_METHOD', 'PBS_BATCH_SERVICE_PORT', 'PBS_CONF_FILE', 'PBS_DEFAULT', 'PBS_ENCRYPT_METHOD', 'PBS_EXEC',
        'PBS_HOME', 'PBS_MANAGER_SERVICE_PORT', 'PBS_PRIMARY', 'PBS_SECONDARY', 'PBS_SERVER',
        'PBS_SUPPORTED_AUTH_METHODS')
    hold_attributes = {'pbs.h': None}
    dependency_attributes = ('W=depend=',)
    index_pattern = '^array_index^'
    # `qsub -V` passed nothing in OpenPBS 23.06, and where it works it shows every variable to every user of qstat.
    carries_environment = True
    # Each command keeps one of some 500 reserved ports for a minute; with none left, commands hung for 61 s (OpenPBS
    # 23.06). So no minute has more than 400 submissions, and queries have the rest.
    submit_rate = 5.0
    submit_burst = 100

    def __init__(self, url: str | None = None, config: JobExecutorConfig | None = None) -> None:
        super().__init__(url=url, config=config)
        self._records = pbspro_records.JobRecords(_DELIMITER)

    def get_array_option(self, count: int, throttle: int | None = None) -> List[str]:
        """Return the option of qsub; versions before OpenPBS 22.05 and PBS Pro 2021.1 take no limit.

        :raises InvalidJobException: if there is a limit, and the server is of such a version.
        """
        if throttle is None:
            return ['-J', f'0-{count - 1}']
        if self.site.version[:1] and (
                self.site.version[0] < _FIRST_WITH_THROTTLE or self.site.version[0] == _LAST_WITHOUT):
            raise InvalidJobException(
                f'array_throttle: PBS {".".join(map(str, self.site.version))} cannot limit how many elements of an '
                'array run at once.')
        return ['-J', f'0-{count - 1}%{throttle}']

    def most_elements(self) -> int:
        """Return the server's `max_array_size`; 10,000 where nobody set it."""
        limit = self.site.max_array_size
        return _USUAL_MAX_ARRAY_SIZE if limit is None else limit

    def element_id(self, array_id: str, index: int) -> str:
        """Return the id, such as `77[3].pbshost1`."""
        return array_id.replace('[]', f'[{index}]', 1)

    def is_refused_array(self, result: CommandResult) -> bool:
        """Tell whether qsub refused the size of the array, or that the job is one."""
        return result.exit_code != 0 and pbspro_errors.says_no_such_array(result.error_text)

    def dialect_context(self, job: Job, context: Mapping[str, object]) -> Dict[str, object]:
        """Return the values of the template that PBS wants in a form of its own.

        :raises InvalidJobException: if the job has a queue and a reservation.
        """
        queue, reservation = context['queue_name'], context['reservation_id']
        if queue and reservation:
            raise InvalidJobException(
                'JobAttributes: a PBS job runs in a reservation or in a queue, not in both '
                f'({reservation!r} and {queue!r}): a reservation is a queue of its own. Leave queue_name out.')
        nodes, per_node, cores = context['node_count'], context['processes_per_node'], context['cpu_cores_per_process']
        memory, duration = context['memory_per_node'], context['duration']
        exclusive = context['exclusive_node_use']
        custom = context['custom_attributes']
        place = ':'.join([*(['scatter'] if nodes != 1 else []), *(['exclhost'] if exclusive else [])])
        output = str(context['scheduler_output'])
        return {
            'scheduler_output': Verbatim(output) if context['is_array'] else output,
            'name': _NOT_IN_A_NAME.sub('_', str(context['name'])),
            'queue_name': reservation or queue,
            'cpus_per_node': (per_node if isinstance(per_node, int) else 1) * (cores if isinstance(cores, int) else 1),
            'memory_kibibytes_per_node': -(-memory // 1024) if isinstance(memory, int) else None,
            'place': place or None,
            'walltime': hours_minutes_seconds(duration) if isinstance(duration, int) else None,
            'custom_options': [
                _custom_option(each['key'], each['value']) for each in (custom if isinstance(custom, list) else ())],
        }

    def custom_option(self, key: str, value: str) -> List[str]:
        """Return an option of qsub, whose value may be any text."""
        option = _custom_option(key, value)
        return [str(option['option']), str(option['value'])]

    def get_dependency_option(
        self, after_ok: Sequence[str], after_any: Sequence[str], after_not_ok: Sequence[str]
    ) -> List[str]:
        """Return the option of qsub; a job that can never begin is ended by the server.

        An array's id, `77[].pbshost1`, stands for all of its elements. PBS lets no job wait for a single one (User's
        Guide, "Job Array Dependencies").

        :raises InvalidJobException: if one is an element of an array.
        """
        kinds = {'afterok': after_ok, 'afterany': after_any, 'afternotok': after_not_ok}
        for native_id in [each for native_ids in kinds.values() for each in native_ids]:
            if '[' in native_id and '[]' not in native_id:
                raise InvalidJobException(
                    f'PBS lets no job wait for {native_id}, which is an element of an array; wait for the whole array.')
        clauses = [':'.join([kind, *native_ids]) for kind, native_ids in kinds.items() if native_ids]
        return ['-W', f'depend={",".join(clauses)}']

    def get_submit_command(self, job: Job, submit_file_path: Path) -> List[str]:
        """Return the qsub command."""
        return ['qsub', str(submit_file_path)]

    def job_id_from_submit_output(self, out: str) -> str:
        """Read the id, such as `77.pbshost1` or `77[].pbshost1`; of a line that is cut short, none.

        :raises ParseError: if there is none.
        """
        matches = _JOB_ID.findall(out)
        if not matches:
            raise ParseError(f'qsub named no job id: {out!r}')
        return str(matches[-1])

    def is_transient(self, result: CommandResult) -> bool:
        """Tell whether qsub failed for a reason that passes: a limit on this user's jobs, or no connection."""
        return pbspro_errors.is_transient(result.exit_code)

    def get_status_command(self, native_ids: Sequence[str]) -> List[str]:
        """Return the qstat command for these jobs; with history, for those that are over as well.

        `-E` sends all ids in one request: without it each id takes a connection of its own, whose reserved ports are
        gone for a minute. The format with delimiters was seen to stay readable whatever is in names and variables:
        delimiters in a value are escaped, and a job is one line. JSON of OpenPBS 23.06 does not.
        """
        # One id that is none makes qstat fail.
        chosen = [*filter(self.native_id_pattern.fullmatch, native_ids)] if len(native_ids) <= _MOST_IDS else []
        return ['qstat', '-E', '-f', *self._history, '-F', 'dsv', '-D', _DELIMITER, *chosen]

    def parse_status_output(self, exit_code: int, out: str) -> Dict[str, JobStatus]:
        """Read the states that qstat printed.

        :raises ParseError: if qstat failed.
        """
        if not pbspro_errors.is_answer(exit_code):
            raise ParseError(f'qstat failed with exit code {exit_code}: {out.strip()}')
        # Whoever calls this may have stripped the end of the last line.
        seen = pbspro_records.parse_jobs(f'{out}\n', _DELIMITER)
        return {native_id: each.status for native_id, each in seen.items()}

    def parse_status(self, result: CommandResult) -> Mapping[str, Observation]:
        """Read all that qstat tells of the jobs; its exit code is that of one of the ids that it does not know.

        :raises CommandError: if qstat failed; then it says nothing about any job.
        """
        self._check_answer(result)
        seen = self._records.read(result.text)
        if seen and result.exit_code != 0:
            # A newer client of OpenPBS was seen to leave out the jobs that are named after one that it does not know.
            seen.complete = False
        return seen

    def spellings(self, native_id: str) -> Sequence[str]:
        """Return the id with no more of its server's name than the host, which is how answers are kept, too."""
        return (pbspro_records.short_id(native_id),)

    def get_single_status_command(self, native_id: str) -> List[str] | None:
        """Return the qstat command for this job alone, in the format for people; None where it is no id."""
        return ['qstat', '-f', *self._history, native_id] if self.native_id_pattern.fullmatch(native_id) else None

    def parse_single_status(self, result: CommandResult) -> Mapping[str, Observation]:
        """Read what qstat tells people of a job.

        :raises CommandError: if qstat failed; then it says nothing about the job.
        """
        self._check_answer(result)
        return pbspro_records.parse_texts(result.text)

    def get_cancel_command(self, native_id: str) -> List[str]:
        """Return the qdel command."""
        return ['qdel', native_id]

    def process_cancel_command_output(self, exit_code: int, out: str) -> None:
        """Check what qdel printed; that a job is ending, over or forgotten is no error.

        :raises SubmitException: if the job was not cancelled.
        """
        if not pbspro_errors.is_over(exit_code):
            raise SubmitException(
                f'qdel failed with exit code {exit_code}: {out.strip()}', exit_code=exit_code, stderr=out)

    def get_cancel_many_command(self, native_ids: Sequence[str]) -> List[str]:
        """Return the qdel command for several jobs; it deletes those that it can."""
        return ['qdel', *native_ids]

    def get_signal_command(self, native_ids: Sequence[str], signal: signals.Signals) -> List[str]:
        """Return the qsig command; it sends a signal to all processes of running jobs.

        Among them is the login shell that runs a job's script, and with it the whole job ends. It was seen to die of
        TERM (Exit_status 271 is 256 + 15), and a bash that reads its command from a pipe dies of USR1 as well.

        :raises InvalidJobException: if that shell would die of the signal.
        """
        if signal not in _HARMLESS_SIGNALS:
            raise InvalidJobException(
                f'PBS sends {signal.name} to the login shell that runs the job\'s script too, which dies of it, and '
                'the job ends. So pbspro sends only signals that every shell outlives: '
                f'{", ".join(harmless.name for harmless in _HARMLESS_SIGNALS)}.')
        return ['qsig', '-s', signal.name, *native_ids]

    def get_origins_command(self, native_ids: Sequence[str] = ()) -> List[str]:
        """Return the qstat command for these or all jobs, over or not, with all that is known of them."""
        return self.get_status_command(native_ids)

    def parse_origins(self, result: CommandResult) -> Mapping[str, str]:
        """Read the folders by the jobs' ids.

        :raises CommandError: if qstat failed.
        :raises ParseError: if what it printed is cut short.
        """
        self._check_answer(result)
        origins = pbspro_native_record.parse_origins(result.text, _DELIMITER, self.user)
        return {each: folder for each, folder in origins.items() if self.native_id_pattern.fullmatch(each)}

    def get_hold_command(self, native_id: str) -> List[str]:
        """Return the qhold command; the hold is the user's own, which is the default."""
        return ['qhold', native_id]

    def get_release_command(self, native_id: str) -> List[str]:
        """Return the qrls command for the user's own hold."""
        return ['qrls', native_id]

    def parse_refusals(self, result: CommandResult, native_ids: Sequence[str]) -> Mapping[str, Refusal] | None:
        """Read the line that qdel and qsig print for each job to which they did nothing."""
        return pbspro_errors.read_refusals(result.exit_code, result.error_text, native_ids)

    def is_without_answer(self, result: CommandResult) -> bool:
        """Tell whether the server was not reached: exit code 162, and 255 of qstat."""
        return pbspro_errors.is_without_answer(result.exit_code, result.argv[0])

    def get_record_commands(self, native_id: str, since: float) -> Sequence[List[str]]:
        """Return the qstat command that shows all attributes of a job; with history, of one that is over too."""
        return [self.get_status_command([native_id])]

    def parse_record(self, result: CommandResult, native_id: str) -> Dict[str, str]:
        """Read all attributes that qstat printed; none where the job is not known any more.

        :raises ParseError: if they cannot be read.
        """
        if not pbspro_errors.is_answer(result.exit_code):
            return {}
        return pbspro_native_record.parse_job(result.text, _DELIMITER)

    def get_version_command(self) -> List[str]:
        """Return the qstat command that prints its version; it does not ask the server."""
        return ['qstat', '--version']

    def parse_version(self, result: CommandResult) -> str:
        """Read product and version.

        :raises ParseError: if there is none.
        """
        return pbspro_native_record.parse_version(result.combined_text)

    def get_list_command(self) -> List[str]:
        """Return the qselect command that prints the ids of this user's jobs that are not over."""
        return ['qselect', '-u', self.user]

    def get_site_command(self) -> List[str]:
        """Return the qstat command that prints the attributes of the server."""
        return ['qstat', '-B', '-f']

    def parse_site(self, result: CommandResult) -> Site:
        """Read version, limits and whether history is kept out of the server's attributes.

        :raises CommandError: if qstat failed.
        """
        if result.exit_code != 0:
            raise command_error('qstat gave no answer', result)
        return pbspro_records.parse_server(result.text)

    @property
    def _history(self) -> List[str]:
        return ['-x'] if self.site.history else []

    def _check_answer(self, result: CommandResult) -> None:
        if pbspro_errors.says_no_history(result.error_text):
            # It was switched off since we asked; with -x, qstat then knows no job at all, and says so with exit code 0.
            self._site = None
        if pbspro_errors.says_no_history(result.error_text) or not pbspro_errors.is_answer(result.exit_code):
            raise command_error('qstat gave no answer', result)


def _custom_option(key: str, value: str) -> Dict[str, object]:
    if len(key) == 1:
        return {'option': f'-{key}', 'value': value or None}
    return {'option': '-l', 'value': f'{key}={value}' if value else key}
