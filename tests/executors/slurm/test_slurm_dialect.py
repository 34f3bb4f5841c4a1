from __future__ import annotations

import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from signal import Signals

import pytest
from slurm_rows import queue_row

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.dependencies import Dependencies
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.exceptions import CommandError, InvalidJobException, ParseError, SubmitException
from psij_ext.executors.batch.slurm import SlurmExecutorConfig, SlurmJobExecutor
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.script import make_absolute

DATA = Path(__file__).parents[2] / 'data' / 'slurm'
FOLDER = JobFolder(Path('/work/the-job'))
QUEUE_FORMAT = ('JobArrayID:|,JobID:|,StartTime:|,SubmitTime:|,EndTime:|,TimeUsed:|,NumNodes:|,NumCPUs:|,NodeList:|,State:|,exit_code:|,RestartCnt:|,TimeLimit:|,'
                'Cluster:|,Reason:|')
QUEUE = ['squeue', '--noheader', '--array', '--states=all', f'--Format={QUEUE_FORMAT}']
# What is there whatever the spec says, for a job with this program and nothing else.
PLAIN = ['#SBATCH --job-name=/bin/date', '#SBATCH --output=scheduler.out', '#SBATCH --export=ALL']


@pytest.fixture(autouse=True)
def no_user_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('PARTITION', 'ACCOUNT', 'QOS', 'RESERVATION'):
        monkeypatch.delenv(f'SBATCH_{name}', raising=False)


@pytest.fixture
def executor(tmp_path: Path) -> SlurmJobExecutor:
    return SlurmJobExecutor(config=SlurmExecutorConfig(work_directory=tmp_path))


def rendered(executor: SlurmJobExecutor, spec: JobSpec, folder: JobFolder = FOLDER) -> tuple[list[str], list[str]]:
    """The directives, and the options of sbatch between --parsable and the script."""
    job = Job(make_absolute(spec, Path('/here')))
    script, command = executor.render(job, folder, 'n')
    lines = script.splitlines()
    assert lines[0] == '#!/bin/bash'
    directives = [line for line in lines if line.startswith('#SBATCH')]
    assert lines[1:1 + len(directives)] == directives  # sbatch(1): none is read after the first command
    assert (command[:2], command[-1]) == (['sbatch', '--parsable'], str(folder.script_path))
    return directives, command[2:-1]


def asked(executor: SlurmJobExecutor, **fields: object) -> list[str]:
    """The directives beyond the plain ones."""
    directives, options = rendered(executor, JobSpec('/bin/date', **fields))  # type: ignore[arg-type]
    assert directives[:3] == PLAIN
    assert options == []
    return directives[3:]


# -- every field of the spec


def test_a_plain_job_asks_for_nothing(executor: SlurmJobExecutor) -> None:
    assert asked(executor) == []


def test_all_fields_at_once(executor: SlurmJobExecutor) -> None:
    spec = JobSpec(
        '/bin/date', name='my-job', inherit_environment=False,
        resources=ResourceSpecV1(node_count=2, processes_per_node=3, cpu_cores_per_process=4, gpu_cores_per_process=1,
                                 exclusive_node_use=True, memory=5 * 1024**3),
        attributes=JobAttributes(timedelta(hours=1, minutes=2, seconds=3), 'fast', 'acc-1', 'res_1',
                                 {'slurm.qos': 'high', 'slurm.requeue': None, 'pbs.x': 'y'}))
    assert rendered(executor, spec) == ([
        '#SBATCH --job-name=my-job', '#SBATCH --output=scheduler.out', '#SBATCH --export=NONE', '#SBATCH --nodes=2',
        '#SBATCH --ntasks=6', '#SBATCH --ntasks-per-node=3', '#SBATCH --cpus-per-task=4', '#SBATCH --gres=gpu:3',
        '#SBATCH --mem=2560M', '#SBATCH --exclusive', '#SBATCH --time=01:02:03', '#SBATCH --partition=fast',
        '#SBATCH --account=acc-1', '#SBATCH --reservation=res_1', '#SBATCH --qos=high', '#SBATCH --requeue'], [])


@pytest.mark.parametrize(('resources', 'directives'), [
    (ResourceSpecV1(), ['--nodes=1', '--ntasks=1', '--ntasks-per-node=1']),
    (ResourceSpecV1(process_count=4), ['--nodes=1', '--ntasks=4', '--ntasks-per-node=4']),
    (ResourceSpecV1(node_count=4), ['--nodes=4', '--ntasks=4', '--ntasks-per-node=1']),
    (ResourceSpecV1(process_count=6, processes_per_node=2), ['--nodes=3', '--ntasks=6', '--ntasks-per-node=2']),
    (ResourceSpecV1(cpu_cores_per_process=8), ['--nodes=1', '--ntasks=1', '--ntasks-per-node=1', '--cpus-per-task=8']),
    (ResourceSpecV1(process_count=2, gpu_cores_per_process=2), ['--nodes=1', '--ntasks=2', '--ntasks-per-node=2', '--gres=gpu:4']),
    (ResourceSpecV1(gpu_cores_per_process=0), ['--nodes=1', '--ntasks=1', '--ntasks-per-node=1']),
    (ResourceSpecV1(exclusive_node_use=True), ['--nodes=1', '--ntasks=1', '--ntasks-per-node=1', '--exclusive']),
])
def test_resources(executor: SlurmJobExecutor, resources: ResourceSpecV1, directives: list[str]) -> None:
    assert asked(executor, resources=resources) == [f'#SBATCH {directive}' for directive in directives]


@pytest.mark.parametrize(('memory', 'nodes', 'mebibytes'), [
    (1, 1, 1), (2**20, 1, 1), (2**20 + 1, 1, 2), (2**30, 1, 1024), (2**30, 3, 342), (3 * 2**20, 3, 1), (3 * 2**20 + 1, 3, 2)])
def test_memory_is_for_a_node_in_mebibytes_rounded_up(executor: SlurmJobExecutor, memory: int, nodes: int, mebibytes: int) -> None:
    assert asked(executor, resources=ResourceSpecV1(node_count=nodes, memory=memory))[-1] == f'#SBATCH --mem={mebibytes}M'


@pytest.mark.parametrize(('duration', 'text'), [
    (timedelta(seconds=0.5), '00:00:01'), (timedelta(seconds=1), '00:00:01'), (timedelta(seconds=1.001), '00:00:02'),
    (timedelta(minutes=1), '00:01:00'), (timedelta(hours=99, minutes=59, seconds=59), '99:59:59'), (timedelta(hours=100), '100:00:00'),
    (timedelta(days=365), '8760:00:00')])
def test_durations(executor: SlurmJobExecutor, duration: timedelta, text: str) -> None:
    assert asked(executor, attributes=JobAttributes(duration)) == [f'#SBATCH --time={text}']


@pytest.mark.parametrize(('attributes', 'directive'), [
    (JobAttributes(queue_name='a,b'), '--partition=a,b'), (JobAttributes(account='x.y_z-1'), '--account=x.y_z-1'),
    (JobAttributes(reservation_id='r'), '--reservation=r')])
def test_attributes(executor: SlurmJobExecutor, attributes: JobAttributes, directive: str) -> None:
    assert asked(executor, attributes=attributes) == [f'#SBATCH {directive}']


def test_the_environment_is_not_exported_where_it_is_not_inherited(executor: SlurmJobExecutor) -> None:
    directives, _ = rendered(executor, JobSpec('/bin/date', inherit_environment=False, environment={'A': '1'}))
    assert directives[2] == '#SBATCH --export=NONE'
    assert len(directives) == 3


def test_paths_and_environment_are_the_scripts_and_no_directives(executor: SlurmJobExecutor) -> None:
    assert asked(executor, directory='/d', stdin_path='i', stdout_path='o', stderr_path='e', pre_launch='p', post_launch='q',
                 environment={'A': '#SBATCH --hold'}, arguments=['\n#SBATCH --hold']) == []


# -- custom attributes


def custom(executor: SlurmJobExecutor, **attributes: object) -> list[str]:
    named = {name.replace('__', '.'): value for name, value in attributes.items()}
    return asked(executor, attributes=JobAttributes(custom_attributes=named))


def test_custom_attributes_are_options(executor: SlurmJobExecutor) -> None:
    assert custom(executor, slurm__constraint='gpu', slurm__nice=5, slurm__hold=None, slurm__requeue=True, slurm__comment='',
                  pbs__x='y', pbspro__z=None) == [
        '#SBATCH --constraint=gpu', '#SBATCH --nice=5', '#SBATCH --hold', '#SBATCH --requeue', '#SBATCH --comment']


@pytest.mark.parametrize('attributes', [
    {'constraint': 'gpu'}, {'slurm.': 'x'}, {'slurm.a b': 'x'}, {'slurm.x\ny': None}])
def test_what_is_no_option_is_refused(executor: SlurmJobExecutor, attributes: dict[str, object]) -> None:
    with pytest.raises(InvalidJobException, match=r'JobAttributes\.custom_attributes'):
        rendered(executor, JobSpec('/bin/date', attributes=JobAttributes(custom_attributes=attributes)))


@pytest.mark.parametrize(('attributes', 'instead'), [
    ({'slurm.array': '1-3'}, 'one job'), ({'slurm.wait': None}, 'Job.wait'), ({'slurm.output': 'x'}, 'stdout_path'),
    ({'slurm.export': 'NONE'}, 'inherit_environment'), ({'slurm.test-only': True}, 'nothing')])
def test_what_would_make_it_another_submission_is_refused(
        executor: SlurmJobExecutor, attributes: dict[str, object], instead: str) -> None:
    with pytest.raises(InvalidJobException, match=instead):
        rendered(executor, JobSpec('/bin/date', attributes=JobAttributes(custom_attributes=attributes)))


@pytest.mark.parametrize('value', [
    'node[1-2]', 'a&b', '[a|b]', 'gpu:2(S:0)', 'a*2', 'afterok:1?afterok:2', 'a b', 'a\n#SBATCH --hold', "'", '$x', 'ü'])
def test_values_that_no_directive_holds_go_on_the_command_line(executor: SlurmJobExecutor, value: str) -> None:
    attributes = JobAttributes(custom_attributes={'slurm.nice': 5, 'slurm.comment': value})
    assert rendered(executor, JobSpec('/bin/date', attributes=attributes)) == (
        [*PLAIN, '#SBATCH --nice=5'], [f'--comment={value}'])


# -- what no directive holds for certain goes on the command line


@pytest.mark.parametrize('odd', ['a b', "it's", '"', '$HOME', '`x`', 'a\nb', '#x', 'ü漢', '\\', 'a;b', '-x y', '*'])
def test_odd_labels_go_on_the_command_line(executor: SlurmJobExecutor, odd: str) -> None:
    spec = JobSpec('/bin/date', name=odd, attributes=JobAttributes(queue_name=odd, account=odd, reservation_id=odd))
    assert rendered(executor, spec) == (PLAIN[1:], [
        f'--job-name={odd}', f'--partition={odd}', f'--account={odd}', f'--reservation={odd}'])


@pytest.mark.parametrize('plain', ['a', '-x', 'a=b', '50%', 'a@b.c:d/e,f+g_h', '0'])
def test_plain_labels_are_directives(executor: SlurmJobExecutor, plain: str) -> None:
    directives, options = rendered(executor, JobSpec('/bin/date', name=plain))
    assert directives[0] == f'#SBATCH --job-name={plain}'
    assert options == []


def test_an_odd_program_is_an_odd_name(executor: SlurmJobExecutor) -> None:
    assert rendered(executor, JobSpec('/bin/my prog'))[1] == ['--job-name=/bin/my prog']


@pytest.mark.parametrize('folder', ['/work/a b/x', '/work/$x/y', "/work/'/x", '/work/a\nb/x', '/work/ü/x'])
def test_the_folder_is_no_directive(executor: SlurmJobExecutor, folder: str) -> None:
    directives, options = rendered(executor, JobSpec('/bin/date'), JobFolder(Path(folder)))
    assert (directives, options) == (PLAIN, [])


# sbatch(1), "filename pattern"


def test_a_percent_sign_in_the_folder_is_doubled(executor: SlurmJobExecutor) -> None:
    directives, options = rendered(executor, JobSpec('/bin/date'), JobFolder(Path('/work/100%j/x')))
    assert (directives[1], options) == ('#SBATCH --output=/work/100%%j/x/scheduler.out', [])


def test_a_backslash_in_the_folder_is_doubled_and_turns_percent_signs_off(executor: SlurmJobExecutor) -> None:
    directives, options = rendered(executor, JobSpec('/bin/date'), JobFolder(Path('/work/a\\b%j/x')))
    assert options == ['--output=/work/a\\\\b%j/x/scheduler.out']
    assert directives == [PLAIN[0], PLAIN[2]]


# -- the user's own defaults, where the spec is silent


def test_the_users_defaults_hold_where_the_spec_is_silent(executor: SlurmJobExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('PARTITION', 'ACCOUNT', 'QOS', 'RESERVATION'):
        monkeypatch.setenv(f'SBATCH_{name}', f'my-{name.lower()}')
    assert asked(executor) == ['#SBATCH --partition=my-partition', '#SBATCH --account=my-account',
                               '#SBATCH --reservation=my-reservation', '#SBATCH --qos=my-qos']
    given = JobAttributes(queue_name='q', account='a', reservation_id='r')
    assert asked(executor, attributes=given) == [
        '#SBATCH --partition=q', '#SBATCH --account=a', '#SBATCH --reservation=r', '#SBATCH --qos=my-qos']


def test_an_odd_default_goes_on_the_command_line_too(executor: SlurmJobExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SBATCH_PARTITION', 'a b')
    assert rendered(executor, JobSpec('/bin/date')) == (PLAIN, ['--partition=a b'])


# -- the id


@pytest.mark.parametrize(('out', 'native_id'), [
    ('1\n', '1'), ('1;cluster\n', '1;cluster'), ('3969755\n', '3969755'),
    ('Submitted batch job 2\n', '2'), ('Submitted batch job 3969755 on cluster nautilus\n', '3969755;nautilus'),
    ('*** Welcome to site 7 ***\n42\nYour quota: 17 of 100 GB\n', '42'),
    ('Maintenance on 2026-11-20\n2026-11-20\n42;c-1.x\n\n12:00\n', '42;c-1.x'),
    ('42 \r\n3jobs\n7 days\n', '42'), ('100%\n42\n5.0\n', '42')])
def test_the_id_is_found_among_what_a_site_prints(executor: SlurmJobExecutor, out: str, native_id: str) -> None:
    assert executor.job_id_from_submit_output(out) == native_id


@pytest.mark.parametrize('out', ['', '\n', 'Welcome\n', 'Submitted batch job\n', '2026-11-20\n', '12abc\n', '-5\n', '٤٢\n', 'job 42\n', '42', '42;clus', 'Submitted batch job 39'])
def test_no_id_is_an_error(executor: SlurmJobExecutor, out: str) -> None:
    with pytest.raises(ParseError, match='no job id'):
        executor.job_id_from_submit_output(out)


def test_a_list_of_folders_that_is_cut_short_is_none(executor: SlurmJobExecutor) -> None:
    listed = b'1|/work/a|\n2|/work/b|\n'
    assert executor.parse_origins(CommandResult(('squeue',), 0, listed)) == {'1': '/work/a', '2': '/work/b'}
    for length in (5, len(listed) - 1):
        with pytest.raises(ParseError, match='middle'):
            executor.parse_origins(CommandResult(('squeue',), 0, listed[:length]))


# -- queries


def test_several_ids_are_asked_for_at_once(executor: SlurmJobExecutor) -> None:
    assert executor.get_status_command(['1', '2_3', '4']) == [*QUEUE, '--jobs=1,2_3,4']


def test_a_single_id_is_given_twice(executor: SlurmJobExecutor) -> None:
    assert executor.get_status_command(['7']) == [*QUEUE, '--jobs=7,7']


def test_no_id_asks_for_the_user(executor: SlurmJobExecutor) -> None:
    assert executor.get_status_command([]) == [*QUEUE, f'--user={executor.user}']


def test_ids_that_fit_in_no_argument_are_asked_for_by_user(executor: SlurmJobExecutor) -> None:
    few, many = [str(1_000_000 + number) for number in range(10_000)], [str(1_000_000 + number) for number in range(20_000)]
    assert executor.get_status_command(few)[-1] == '--jobs=' + ','.join(few)
    assert (executor.asks_by_user(many), executor.asks_by_user(many[:10])) == (True, False)
    assert executor.get_status_command(many) == [*QUEUE, f'--user={executor.user}']
    assert all(len(word) < 128 * 1024 for word in executor.get_status_command(many))
    just_too_many = [str(1_000_000 + number) for number in range(131_072 // 8)]
    assert all(len(word) < 131_072 for word in executor.get_status_command(just_too_many))


@pytest.mark.parametrize('wrong', ['abc', '', '12 ', '1,2', '-1', '12_', '12;', '--all', '²'])
def test_what_is_no_id_is_not_asked_for(executor: SlurmJobExecutor, wrong: str) -> None:
    """Seen: one of them makes squeue fail for all."""
    assert executor.get_status_command(['1', wrong, '2_3', '4+1']) == [*QUEUE, '--jobs=1,2_3,4+1']
    assert executor.get_status_command([wrong]) == [*QUEUE, f'--user={executor.user}']


def test_a_job_whose_row_cannot_be_read_is_asked_for_alone(executor: SlurmJobExecutor) -> None:
    assert executor.get_single_status_command('12;far') == [*QUEUE, '--clusters=far', '--jobs=12,12']


def test_other_clusters_are_named(executor: SlurmJobExecutor) -> None:
    assert executor.get_status_command(['1;b', '2;a', '3;b']) == [*QUEUE, '--clusters=a,b', '--jobs=1,2,3']
    assert executor.get_status_command(['1;b']) == [*QUEUE, '--clusters=b', '--jobs=1,1']


def told_of_the_site(executor: SlurmJobExecutor, name: str) -> None:
    executor._site = executor.parse_site(CommandResult(('scontrol',), 0, (DATA / name).read_bytes()))


def test_the_own_cluster_is_named_where_others_are(executor: SlurmJobExecutor) -> None:
    told_of_the_site(executor, 'config-accounting.txt')
    assert executor.get_status_command(['1', '1;far']) == [*QUEUE, '--clusters=far,psij', '--jobs=1,1']
    rows = ''.join(queue_row('1', state, cluster=cluster) for state, cluster in (('FAILED', 'far'), ('RUNNING', 'psij'), ('CANCELLED', 'far2')))
    seen = executor.parse_status(CommandResult(('squeue',), 0, rows.encode()))
    assert (seen['1'].status.state, seen['1;far'].status.state) == (JobState.ACTIVE, JobState.FAILED)


def test_accounting_is_bounded_by_the_submission(executor: SlurmJobExecutor) -> None:
    told_of_the_site(executor, 'config-accounting.txt')
    since = 1_795_179_691.0
    begin = datetime.fromtimestamp(since - 60).strftime('%Y-%m-%dT%H:%M:%S')
    assert executor.get_accounting_command(['1', '2'], since) == [
        'sacct', '--noheader', '--parsable2', f'--starttime={begin}',
        '--format=JobID,JobIDRaw,State,ExitCode,Cluster,Submit,Start,End,ElapsedRaw,TotalCPU,AllocCPUS,NNodes,NodeList,MaxRSS,MaxVMSize',
        '--jobs=1,2']
    assert executor.get_accounting_command(['1'], 0.0) is not None


def test_without_accounting_it_is_not_asked(executor: SlurmJobExecutor) -> None:
    told_of_the_site(executor, 'config-no-accounting.txt')
    assert executor.get_accounting_command(['1'], 0.0) is None


def test_accounting_is_read(executor: SlurmJobExecutor) -> None:
    seen = executor.parse_accounting(CommandResult(('sacct',), 0, (DATA / 'sacct-cases.txt').read_bytes()))
    assert (seen['5'].status.state, seen['5'].status.exit_code) == (JobState.FAILED, 3)


def test_the_site_is_asked_for_its_configuration(executor: SlurmJobExecutor) -> None:
    assert executor.get_site_command() == ['scontrol', 'show', 'config']


@pytest.mark.parametrize('exit_code', [1, 2, 140, 255, -9])
def test_a_query_that_failed_says_nothing(executor: SlurmJobExecutor, exit_code: int) -> None:
    failed = CommandResult(('squeue', '-x'), exit_code, queue_row('12', 'COMPLETED').encode(), b'Socket timed out')
    for parse in (executor.parse_status, executor.parse_accounting, executor.parse_site):
        with pytest.raises(CommandError, match='Socket timed out') as caught:
            parse(failed)
        assert (caught.value.exit_code, caught.value.argv) == (exit_code, ('squeue', '-x'))
    with pytest.raises(ParseError, match='Socket timed out'):
        executor.parse_status_output(exit_code, 'Socket timed out')


def test_the_simple_interface_reads_the_same(executor: SlurmJobExecutor) -> None:
    out = (DATA / 'squeue-cases.txt').read_text()
    simple = executor.parse_status_output(0, out.strip())
    rich = executor.parse_status(CommandResult(('squeue',), 0, out.encode()))
    assert {native_id: (status.state, status.exit_code) for native_id, status in simple.items()} == {
        native_id: (seen.status.state, seen.status.exit_code) for native_id, seen in rich.items()}


def test_bytes_that_are_no_text_harm_no_other_row(executor: SlurmJobExecutor) -> None:
    rows = b'\xff\xfe|x\n' + queue_row('12', reason='?').encode().replace(b'?', b'\xff') + b'\0|\n' + queue_row('13', 'PENDING').encode()
    seen = executor.parse_status(CommandResult(('squeue',), 0, rows))
    assert {native_id: seen[native_id].status.state for native_id in ('12', '13')} == {'12': JobState.ACTIVE, '13': JobState.QUEUED}


# -- cancelling and listing


def test_cancelling(executor: SlurmJobExecutor) -> None:
    assert executor.get_cancel_command('12') == ['scancel', '12']
    assert executor.get_cancel_command('12_3') == ['scancel', '12_3']
    assert executor.get_cancel_command('12;far') == ['scancel', '--clusters=far', '12']


def test_cancelling_what_is_over_is_no_error(executor: SlurmJobExecutor) -> None:
    executor.process_cancel_command_output(
        1, 'scancel: error: Kill job error on job id 30: Job/step already completing or completed')


@pytest.mark.parametrize('out', ['scancel: error: Kill job error on job id 1: Access/permission denied', 'Unable to contact slurm controller', ''])
def test_a_cancel_that_was_refused_is_an_error(executor: SlurmJobExecutor, out: str) -> None:
    with pytest.raises(SubmitException, match='exit code 8') as caught:
        executor.process_cancel_command_output(8, out)
    assert (caught.value.exit_code, caught.value.stderr) == (8, out)


def test_many_jobs_of_one_cluster(executor: SlurmJobExecutor) -> None:
    assert executor.get_cancel_many_command(['12', '13_4']) == ['scancel', '12', '13_4']
    assert executor.get_cancel_many_command(['12;far', '13;far']) == ['scancel', '--clusters=far', '12', '13']
    assert [executor.command_group(native_id) for native_id in ('12', '13_4', '12;far')] == ['', '', 'far']


def test_signalling_and_holding(executor: SlurmJobExecutor) -> None:
    # acct-17-scancel-signals: without --full a job that has no steps gets nothing.
    assert executor.get_signal_command(['12', '13'], Signals.SIGUSR1) == ['scancel', '--signal=USR1', '--full', '12', '13']
    assert executor.get_hold_command('12_3') == ['scontrol', 'uhold', '12_3']
    assert executor.get_hold_command('12;far') == ['scontrol', '--clusters=far', 'uhold', '12']
    assert executor.get_release_command('12;far') == ['scontrol', '--clusters=far', 'release', '12']


# Seen on Slurm 22.05.8: as another user, and of a job that waits.
REFUSED = b"""scancel: error: Kill job error on job id 5: Access/permission denied
scancel: error: Kill job error on job id 7_2: Job can not be altered now, try again later
"""


def test_which_of_many_were_refused(executor: SlurmJobExecutor) -> None:
    failed = CommandResult(('scancel',), 210, b'', REFUSED)
    assert executor.parse_refusals(failed, ['4', '5', '7_2']) == {
        '5': (210, 'Access/permission denied'), '7_2': (210, 'Job can not be altered now, try again later')}
    assert executor.parse_refusals(failed, ['5;far', '7_2;far']) == {
        '5;far': (210, 'Access/permission denied'), '7_2;far': (210, 'Job can not be altered now, try again later')}
    for words in (b'scancel: error: Invalid job id abc', REFUSED + b'scancel: error: Kill job error on job id 9: no', b''):
        assert executor.parse_refusals(CommandResult(('scancel',), 1, b'', words), ['5', '7_2']) is None


@pytest.mark.parametrize(('exit_code', 'words', 'unanswered'), [
    (140, b'scancel: error: Kill job error on job id 139: Socket timed out on send/recv operation', True),
    (8, b'scancel: error: Kill job error on job id 137: Unable to contact slurm controller (connect failure)', True),
    (1, b'slurm_load_jobs error: Unable to contact slurm controller (connect failure)', True),
    (210, REFUSED, False), (0, b'', False)])
def test_which_commands_had_no_answer(executor: SlurmJobExecutor, exit_code: int, words: bytes, unanswered: bool) -> None:
    assert executor.is_without_answer(CommandResult(('scancel',), exit_code, b'', words)) is unanswered


@pytest.mark.parametrize(('printed', 'version'), [
    (b'slurm 23.11.4\n', 'Slurm 23.11.4'), (b'slurm-wlm 22.05.8\n', 'Slurm 22.05.8'), (b'Hello\nslurm 20.02.0-rc1\n', 'Slurm 20.02.0-rc1')])
def test_versions(executor: SlurmJobExecutor, printed: bytes, version: str) -> None:
    assert executor.get_version_command() == ['sbatch', '--version']
    assert executor.parse_version(CommandResult(('sbatch',), 0, printed)) == version
    with pytest.raises(ParseError):
        executor.parse_version(CommandResult(('sbatch',), 1, b'', b'sbatch: fatal: no configuration'))


def test_listing(executor: SlurmJobExecutor) -> None:
    assert executor.get_list_command() == ['squeue', '--noheader', '--array', '--format=%i', f'--user={executor.user}']
    assert executor.parse_list_output('12\n 13_4 \n\n') == ['12', '13_4']


@pytest.mark.parametrize(('words', 'transient'), [
    ('sbatch: error: Batch job submission failed: Socket timed out on send/recv operation', True),
    ('sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)', True),
    ('sbatch: error: QOSMaxSubmitJobPerUserLimit', True), ('sbatch: error: AssocMaxSubmitJobLimit', True),
    ('sbatch: error: invalid partition specified: nosuch', False), ('', False)])
def test_what_may_pass(executor: SlurmJobExecutor, words: str, transient: bool) -> None:
    assert executor.is_transient(CommandResult(('sbatch',), 1, b'', words.encode())) is transient


# -- the node file


@pytest.mark.parametrize(('nodes', 'tasks', 'hosts'), [
    ('node1', '1', 'node1'), ('node1', '3', 'node1 node1 node1'), ('node[1-3]', '1(x3)', 'node1 node2 node3'),
    ('node[1-2]', '2(x2)', 'node1 node1 node2 node2'), ('node[01-03,7],login', '2(x3),1(x2)', 'node01 node01 node02 node02 node03 node03 node7 login'),
    ('a,b[1,3]', '1,2,3', 'a b1 b1 b3 b3 b3'), ('n[08-11]', '1(x4)', 'n08 n09 n10 n11'), ('n[098-101]-ib', '1(x4)', 'n098-ib n099-ib n100-ib n101-ib'),
    ('cn-0001', '', 'cn-0001'), ('a[1-2]x,b[3-4]y', '1(x4)', 'a1x a2x b3y b4y')])
def test_the_node_file_names_a_host_for_each_process(executor: SlurmJobExecutor, nodes: str, tasks: str, hosts: str) -> None:
    script, _ = executor.render(Job(make_absolute(JobSpec('/bin/date'), Path('/here'))), FOLDER, 'n')
    functions = ''.join(script[script.index(f'{name}() {{'):].partition('\n}\n')[0] + '\n}\n' for name in ('psij_nodes', 'psij_repeat'))
    done = subprocess.run(['/bin/bash', '-c', functions + 'psij_nodes'], stdout=subprocess.PIPE, text=True, check=True,
                          env={'SLURM_JOB_NODELIST': nodes, 'SLURM_TASKS_PER_NODE': tasks})
    assert done.stdout.split() == hosts.split()


# -- waiting for other jobs: sbatch(1), --dependency


@pytest.mark.parametrize(('given', 'option'), [
    ((['12'], [], []), 'afterok:12'),
    ((['12', '13_4'], ['14'], ['15', '16_0']), 'afterok:12:13_4,afterany:14,afternotok:15:16_0'),
    (([], ['12;far', '13_1;far'], []), 'afterany:12:13_1'),
    # A plus sign is a delay there; the parts of a heterogeneous job end together.
    ((['12+0', '12+1'], [], []), 'afterok:12'),
])
def test_dependencies(executor: SlurmJobExecutor, given: tuple[list[str], list[str], list[str]], option: str) -> None:
    assert executor.get_dependency_option(*given) == [f'--dependency={option}', '--kill-on-invalid-dep=yes']


@pytest.mark.parametrize('given', [(['12;far', '13;near'], [], []), (['12'], ['13;far'], [])])
def test_no_dependency_reaches_another_cluster(executor: SlurmJobExecutor, given: tuple[list[str], list[str], list[str]]) -> None:
    with pytest.raises(InvalidJobException, match='far'):
        executor.get_dependency_option(*given)


@pytest.mark.parametrize('name', ['dependency', 'd'])
def test_dependencies_are_said_in_one_way(executor: SlurmJobExecutor, name: str) -> None:
    spec = JobSpec('/bin/date', attributes=JobAttributes(custom_attributes={f'slurm.{name}': 'singleton'}))
    job = Job(make_absolute(spec, Path('/here')))
    with pytest.raises(InvalidJobException, match='singleton'):
        executor.render(job, FOLDER, 'n', dependencies=Dependencies(('12',)))
    executor.render(job, FOLDER, 'n')


def test_dependencies_are_options_of_sbatch(executor: SlurmJobExecutor) -> None:
    job = Job(make_absolute(JobSpec('/bin/date'), Path('/here')))
    _, command = executor.render(job, FOLDER, 'n', dependencies=Dependencies(('12',)))
    assert command == ['sbatch', '--parsable', '--dependency=afterok:12', '--kill-on-invalid-dep=yes', str(FOLDER.script_path)]
