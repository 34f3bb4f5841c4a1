"""The dialect of Slurm: sbatch(1), squeue(1), scancel(1), sacct(1), scontrol(1)."""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Mapping, Sequence
from pathlib import Path

from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation, Site
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import InvalidJobException, ParseError, SubmitException
from psij_ext.executors.batch import slurm_accounting, slurm_errors, slurm_native_record, slurm_records
from psij_ext.executors.batch.base import BatchSchedulerExecutor
from psij_ext.executors.batch.config import BatchSchedulerExecutorConfig
from psij_ext.executors.batch.dialect import Refusal
from psij_ext.executors.batch.slurm_ids import NATIVE_ID, clusters_option, divided, joined, named, read_submitted
from psij_ext.installation import data_folder
from psij_ext.runtime.command import CommandResult, command_error
from psij_ext.runtime.script import hours_minutes_seconds

# What MaxArraySize is where nobody set it (slurm.conf(5)).
_USUAL_MAX_ARRAY_SIZE = 1001
_VERSION = re.compile(r'^slurm(?:-wlm)? (\S+)\s*$', re.MULTILINE)
_MEBIBYTE = 1024 * 1024
# One argument of a command ends at 128 KiB (execve(2)); some room is left.
_LONGEST_ARGUMENT = 100_000


class SlurmExecutorConfig(BatchSchedulerExecutorConfig):
    """How the Slurm executor works; it has no settings beyond the common ones."""


class SlurmJobExecutor(BatchSchedulerExecutor):
    """Runs jobs on Slurm.

    Custom attributes that begin with `slurm.` become options of sbatch: `slurm.constraint` with the value
    `gpu` is `--constraint=gpu`, one without a value is an option without a value. Those that would change what is
    submitted, or whom sbatch tells, are refused.
    """

    template = data_folder('templates') / 'batch' / 'slurm.mustache'
    config_class = SlurmExecutorConfig
    custom_attribute_prefixes = ('slurm',)
    label_options = {
        'name': '--job-name', 'scheduler_output': '--output', 'queue_name': '--partition', 'account': '--account',
        'reservation_id': '--reservation', 'qos': '--qos'}
    # slurmctld refuses more with "Pathname of a file, directory or other parameter too long" (seen in 22.05).
    longest_labels = {'name': 1024, 'comment': 1024}
    longest_value = 1024
    refused_attributes = {
        'array': 'one job is one job here', 'a': 'one job is one job here',
        'chdir': 'use JobSpec.directory', 'D': 'use JobSpec.directory',
        'error': 'use JobSpec.stderr_path', 'e': 'use JobSpec.stderr_path',
        'export': 'use JobSpec.inherit_environment', 'export-file': 'use JobSpec.environment',
        'help': 'nothing would be submitted', 'usage': 'nothing would be submitted',
        'version': 'nothing would be submitted', 'test-only': 'nothing would be submitted',
        'input': 'use JobSpec.stdin_path', 'i': 'use JobSpec.stdin_path',
        'output': 'use JobSpec.stdout_path', 'o': 'use JobSpec.stdout_path',
        'wait': 'use Job.wait', 'W': 'use Job.wait', 'wrap': 'use JobSpec.executable'}
    native_id_pattern = NATIVE_ID
    # sbatch(1), "INPUT ENVIRONMENT VARIABLES": options in the environment beat the directives in a script.
    native_variables = ('SBATCH_', 'SLURM_', 'SQUEUE_', 'SCANCEL_', 'SACCT_', 'SALLOC_', 'SRUN_')
    kept_variables = ('SLURM_CONF', 'SLURM_CONF_SERVER', 'SLURM_JWT', 'SLURM_CLUSTERS')
    environment_defaults = {
        'queue_name': 'SBATCH_PARTITION', 'account': 'SBATCH_ACCOUNT', 'qos': 'SBATCH_QOS',
        'reservation_id': 'SBATCH_RESERVATION'}
    hold_attributes = {'slurm.hold': None}
    dependency_attributes = ('dependency=', 'd=')
    index_pattern = '%a'
    # Times as seconds since the epoch; lists of array elements are not cut.
    command_variables = {'SLURM_TIME_FORMAT': '%s', 'SLURM_BITSTR_LEN': '0'}

    def __init__(self, url: str | None = None, config: JobExecutorConfig | None = None) -> None:
        super().__init__(url=url, config=config)
        self._differing: slurm_records.Differing = {}

    def get_array_option(self, count: int, throttle: int | None = None) -> list[str]:
        """Return the option of sbatch (sbatch(1), --array)."""
        return [f'--array=0-{count - 1}{"" if throttle is None else f"%{throttle}"}']

    def most_elements(self) -> int:
        """Return `MaxArraySize`, which the highest index stays below; 0 stands for no arrays (slurm.conf(5))."""
        limit = self.site.max_array_size
        return _USUAL_MAX_ARRAY_SIZE if limit is None else limit

    def element_id(self, array_id: str, index: int) -> str:
        """Return the id, such as `12_3` or `12_3;cluster`."""
        number, cluster = divided(array_id)
        return joined(f'{number}_{index}', cluster)

    def is_refused_array(self, result: CommandResult) -> bool:
        """Tell whether sbatch refused the size of the array, or any array (seen in 22.05)."""
        return result.exit_code != 0 and slurm_errors.says_no_such_array(result.error_text)

    def dialect_context(self, job: Job, context: Mapping[str, object]) -> dict[str, object]:
        """Return the values of the template that Slurm wants in a form of its own."""
        memory, duration = context['memory_per_node'], context['duration']
        return {
            'scheduler_output': _file_name_pattern(
                str(context['folder']), str(context['scheduler_output']), is_pattern=context['is_array'] is True),
            'export': 'ALL' if context['inherit_environment'] else 'NONE',
            'memory_mebibytes_per_node': -(-memory // _MEBIBYTE) if isinstance(memory, int) else None,
            'walltime': hours_minutes_seconds(duration) if isinstance(duration, int) else None,
        }

    def custom_option(self, key: str, value: str) -> list[str]:
        """Return an option of sbatch, whose value may be any text."""
        return [f'--{key}={value}']

    def get_dependency_option(
        self, after_ok: Sequence[str], after_any: Sequence[str], after_not_ok: Sequence[str]
    ) -> list[str]:
        """Return the options of sbatch; a job that can never begin is cancelled by the controller.

        An array's id stands for all of its elements. Of a part of a heterogeneous job, `12+1`, the whole one is waited
        for, since sbatch(1) would take the plus sign for a delay.

        :raises InvalidJobException: if they are on several clusters.
        """
        kinds = {'afterok': after_ok, 'afterany': after_any, 'afternotok': after_not_ok}
        clusters = {divided(native_id)[1] for native_ids in kinds.values() for native_id in native_ids}
        if len(clusters) > 1:
            raise InvalidJobException(
                'A Slurm job can only wait for jobs of its own cluster; those given are on '
                f'{", ".join(sorted(cluster or "the usual one" for cluster in clusters))}.')
        clauses = [':'.join([kind, *dict.fromkeys(divided(native_id)[0].partition('+')[0] for native_id in native_ids)])
                   for kind, native_ids in kinds.items() if native_ids]
        return [f'--dependency={",".join(clauses)}', '--kill-on-invalid-dep=yes']

    def get_submit_command(self, job: Job, submit_file_path: Path) -> list[str]:
        """Return the sbatch command; `--parsable` makes it print the id alone."""
        return ['sbatch', '--parsable', str(submit_file_path)]

    def job_id_from_submit_output(self, out: str) -> str:
        """Read the id, `12` or `12;cluster`, among whatever a site prints around it; of a line that is cut short, none.

        :raises ParseError: if there is none.
        """
        native_id = read_submitted(out)
        if native_id is None:
            raise ParseError(f'sbatch named no job id: {out!r}')
        return native_id

    def is_transient(self, result: CommandResult) -> bool:
        """Tell whether sbatch failed for a reason that passes, such as a busy controller."""
        return slurm_errors.says_transient(result.error_text)

    def get_status_command(self, native_ids: Sequence[str]) -> list[str]:
        """Return the squeue command for these jobs, in every state and one row for each element of an array.

        squeue fails for a single unknown id and passes over unknown ones among several, so a single id is
        given twice.
        """
        return ['squeue', '--noheader', '--array', '--states=all', f'--Format={slurm_records.QUEUE_FORMAT}',
                *self._selection(native_ids)]

    def asks_by_user(self, native_ids: Sequence[str]) -> bool:
        """Tell whether there are too many ids for an argument, so that squeue and sacct tell of this user's jobs."""
        return any(word.startswith('--user=') for word in self._selection(native_ids))

    def parse_status_output(self, exit_code: int, out: str) -> dict[str, JobStatus]:
        """Read the states that squeue printed.

        :raises ParseError: if squeue failed.
        """
        if exit_code != 0:
            raise ParseError(f'squeue failed with exit code {exit_code}: {out.strip()}')
        # Whoever calls this may have stripped the end of the last line.
        seen = slurm_records.parse_queue(f'{out}\n', self._own_cluster)
        return {native_id: each.status for native_id, each in seen.items()}

    def array_of(self, native_id: str) -> str | None:
        """Return the id of the array, `12` of `12_3`; None on a cluster of which nothing else is known."""
        number, cluster = divided(native_id)
        array, underscore, _ = number.partition('_')
        return joined(array, cluster) if underscore and cluster in ('', self._own_cluster) else None

    def get_single_status_command(self, native_id: str) -> list[str]:
        """Return the squeue command for this job alone."""
        return self.get_status_command([native_id])

    def parse_status(self, result: CommandResult) -> Mapping[str, Observation]:
        """Read all that squeue tells of the jobs.

        :raises CommandError: if squeue failed; then it says nothing about any job.
        """
        if result.exit_code != 0:
            raise command_error('squeue gave no answer', result)
        return slurm_records.parse_queue(result.text, self._own_cluster, self._differing)

    def get_accounting_command(self, native_ids: Sequence[str], since: float) -> list[str] | None:
        """Return the sacct command for these jobs; None where the site keeps no accounts.

        It is bounded by the submit time: after a reset of the ids, an old id is some other job of another
        year.
        """
        if self.site.accounting is False:
            return None
        return ['sacct', '--noheader', '--parsable2', f'--starttime={slurm_accounting.start_time(since)}',
                f'--format={slurm_accounting.ACCOUNTING_FORMAT}', *self._selection(native_ids)]

    def parse_accounting(self, result: CommandResult) -> Mapping[str, Observation]:
        """Read what sacct tells of the jobs.

        :raises CommandError: if sacct failed.
        """
        if result.exit_code != 0:
            raise command_error('sacct gave no answer', result)
        return slurm_accounting.parse_accounting(result.text, self._own_cluster)

    def get_cancel_command(self, native_id: str) -> list[str]:
        """Return the scancel command."""
        return self.get_cancel_many_command([native_id])

    def process_cancel_command_output(self, exit_code: int, out: str) -> None:
        """Check what scancel printed; it is silent and successful for jobs that are unknown or over.

        :raises SubmitException: if the job was not cancelled.
        """
        if not slurm_errors.says_over(out):
            raise SubmitException(f'scancel failed with exit code {exit_code}: {out.strip()}',
                                  exit_code=exit_code, stderr=out)

    def command_group(self, native_id: str) -> str:
        """Return the name of the job's cluster: a command acts on jobs of one."""
        return divided(native_id)[1]

    def get_cancel_many_command(self, native_ids: Sequence[str]) -> list[str]:
        """Return the scancel command for jobs of one cluster."""
        return ['scancel', *named(native_ids)]

    def get_signal_command(self, native_ids: Sequence[str], signal: signals.Signals) -> list[str]:
        """Return the scancel command that sends a signal to the batch script and to all that it started.

        Without `--full` it was seen to reach nobody in a job that has no steps.
        """
        return ['scancel', f'--signal={signal.name[len("SIG"):]}', '--full', *named(native_ids)]

    def parse_refusals(self, result: CommandResult, native_ids: Sequence[str]) -> Mapping[str, Refusal] | None:
        """Read the line that scancel prints for each job to which it did nothing."""
        by_number = {divided(native_id)[0]: native_id for native_id in native_ids}
        refused = slurm_errors.not_cancelled(result.error_text)
        if not refused or not all(number in by_number for number, _ in refused):
            return None
        return {by_number[number]: Refusal(result.exit_code, why) for number, why in refused}

    def is_without_answer(self, result: CommandResult) -> bool:
        """Tell whether the controller was not reached; a scancel that timed out was seen to take effect later."""
        return result.exit_code != 0 and slurm_errors.says_no_answer(result.error_text)

    def get_origins_command(self, native_ids: Sequence[str] = ()) -> list[str]:
        """Return the squeue command for the folders from which jobs in any state were submitted."""
        return ['squeue', '--noheader', '--states=all', f'--Format={slurm_records.ORIGIN_FORMAT}',
                *(self._selection(native_ids) if native_ids else [f'--user={self.user}'])]

    def parse_origins(self, result: CommandResult) -> Mapping[str, str]:
        """Read the folders by the jobs' ids.

        :raises CommandError: if squeue failed.
        :raises ParseError: if what it printed is cut short.
        """
        if result.exit_code != 0:
            raise command_error('squeue gave no answer', result)
        return slurm_records.parse_origins(result.text)

    def origin_on_record(self, record: Mapping[str, str]) -> str | None:
        """Return the folder in which sbatch was run (scontrol(1), sacct(1): WorkDir)."""
        return record.get('WorkDir')

    def get_hold_command(self, native_id: str) -> list[str]:
        """Return the scontrol command that holds a job so that its owner can release it."""
        number, cluster = divided(native_id)
        return ['scontrol', *clusters_option(cluster), 'uhold', number]

    def get_release_command(self, native_id: str) -> list[str]:
        """Return the scontrol command that releases a job."""
        number, cluster = divided(native_id)
        return ['scontrol', *clusters_option(cluster), 'release', number]

    def get_record_commands(self, native_id: str, since: float) -> list[list[str]]:
        """Return the scontrol command that shows the job; for one that left the queue, the sacct command."""
        number, cluster = divided(native_id)
        commands = [['scontrol', *clusters_option(cluster), 'show', 'job', number]]
        if self.site.accounting is not False:
            commands.append([
                'sacct', *clusters_option(cluster), '--parsable2', f'--delimiter={slurm_native_record.SEPARATOR}',
                '--allocations', f'--starttime={slurm_accounting.start_time(since)}', '--format=ALL',
                f'--jobs={number}'])
        return commands

    def parse_record(self, result: CommandResult, native_id: str) -> dict[str, str]:
        """Read all fields that scontrol or sacct printed; none where the job is not known any more.

        :raises ParseError: if they cannot be read.
        """
        if result.exit_code != 0:
            return {}
        if result.argv[0] == 'sacct':
            return slurm_native_record.parse_accounting_record(result.text)
        return slurm_native_record.parse_show_job(result.text)

    def get_version_command(self) -> list[str]:
        """Return the sbatch command that prints its version; it does not ask the controller."""
        return ['sbatch', '--version']

    def parse_version(self, result: CommandResult) -> str:
        """Read the version; Debian's packages call the product `slurm-wlm`.

        :raises ParseError: if there is none.
        """
        found = _VERSION.search(result.text)
        if found is None:
            raise ParseError(f'sbatch named no version: {result.combined_text!r}')
        return f'Slurm {found[1]}'

    def get_list_command(self) -> list[str]:
        """Return the squeue command that prints the ids of this user's jobs that are not over."""
        return ['squeue', '--noheader', '--array', '--format=%i', f'--user={self.user}']

    def get_site_command(self) -> list[str]:
        """Return the scontrol command that prints the configuration of the controller."""
        return ['scontrol', 'show', 'config']

    def parse_site(self, result: CommandResult) -> Site:
        """Read version, limits and whether there is accounting out of the configuration.

        :raises CommandError: if scontrol failed.
        """
        if result.exit_code != 0:
            raise command_error('scontrol gave no answer', result)
        return slurm_records.parse_config(result.text)

    def _selection(self, native_ids: Sequence[str]) -> list[str]:
        # One id that is none makes the command fail for all.
        parts = [divided(native_id) for native_id in filter(self.native_id_pattern.fullmatch, native_ids)]
        clusters = {cluster for _, cluster in parts}
        if len(clusters) > 1 and '' in clusters:
            # A list of clusters leaves out the one that is asked without a list, unless it is named.
            clusters |= {*(self.site.clusters or ())}
        numbers = [number for number, _ in parts]
        listed = ','.join(numbers * 2 if len(numbers) == 1 else numbers)
        fits = 0 < len(listed) < _LONGEST_ARGUMENT
        return [*clusters_option(*clusters), f'--jobs={listed}' if fits else f'--user={self.user}']

    @property
    def _own_cluster(self) -> str | None:
        """The cluster whose jobs have ids without a cluster's name, if it is known."""
        return self._site.clusters[0] if self._site is not None and self._site.clusters else None


def _file_name_pattern(folder: str, name: str, *, is_pattern: bool) -> str:
    """Write the name of a file so that sbatch takes it as it is (sbatch(1), "filename pattern").

    Percent signs were seen to begin a replacement in the folder of a relative name too. A backslash anywhere turns all
    replacements off, and then stands for itself only if it is doubled.

    :param is_pattern: whether the name itself, but not the folder, is a pattern.
    :raises InvalidJobException: if it cannot be one.
    """
    if is_pattern:
        if '\\' in folder:
            raise InvalidJobException(
                f'The folder {folder} has a backslash in it, so that Slurm cannot give each element of an array a file '
                'of its own there. Use another work_directory.')
        return f'{folder.replace("%", "%%")}/{name}' if '%' in folder else name
    if '\\' in folder:
        return f'{folder}/{name}'.replace('\\', '\\\\')
    return f'{folder}/{name}'.replace('%', '%%') if '%' in folder else name
