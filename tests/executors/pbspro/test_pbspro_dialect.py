"""The commands and directives of PBS Pro, written down here from the PBS Reference Guide, and qsub's and qstat's answers."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from signal import Signals

import pytest

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.dependencies import Dependencies
from psij_ext.core.interfaces import JobExecutor
from psij_ext.core.job import Job
from psij_ext.core.observation import Observations, Site
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.exceptions import CommandError, InvalidJobException, ParseError, SubmitException
from psij_ext.executors.batch.pbspro import PBSProExecutorConfig, PBSProJobExecutor
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.script import make_absolute

DATA = Path(__file__).parents[2] / 'data' / 'pbspro'
FOLDER = JobFolder(Path('/work/the-job'))
ASKED = ['qstat', '-E', '-f', '-F', 'dsv', '-D', '\x1e']


@pytest.fixture
def executor(tmp_path: Path) -> PBSProJobExecutor:
    made = PBSProJobExecutor(config=PBSProExecutorConfig(work_directory=tmp_path))
    made._site = Site(product='pbspro', history=False)
    return made


def rendered(executor: PBSProJobExecutor, spec: JobSpec) -> tuple[list[str], list[str]]:
    """The directives, and the options of qsub before the script."""
    script, command = executor.render(Job(make_absolute(spec, Path('/here'))), FOLDER, 'n')
    lines = script.splitlines()
    assert lines[0] == '#!/bin/bash'
    directives = [line for line in lines if line.startswith('#PBS')]
    assert lines[1:1 + len(directives)] == directives  # qsub(1B): none is read after the first command
    assert (command[0], command[-1]) == ('qsub', '/work/the-job/script')
    return directives, command[1:-1]


def asked(executor: PBSProJobExecutor, **fields: object) -> list[str]:
    """The directives beyond those of every job."""
    directives, options = rendered(executor, JobSpec('/bin/date', name='x', **fields))  # type: ignore[arg-type]
    assert directives[:4] == ['#PBS -N x', '#PBS -S /bin/bash', '#PBS -j oe', '#PBS -o scheduler.out']
    assert options == []
    return directives[4:]


def test_names() -> None:
    with JobExecutor.get_instance('pbs') as executor:
        assert isinstance(executor, PBSProJobExecutor)
        assert executor.name == 'pbspro'


def test_a_plain_job_asks_for_nothing(executor: PBSProJobExecutor) -> None:
    assert asked(executor) == []


@pytest.mark.parametrize(('resources', 'directives'), [
    (ResourceSpecV1(), ['#PBS -l select=1:ncpus=1:mpiprocs=1']),
    (ResourceSpecV1(process_count=4, cpu_cores_per_process=2), ['#PBS -l select=1:ncpus=8:mpiprocs=4']),
    (ResourceSpecV1(node_count=2, processes_per_node=3, gpu_cores_per_process=2, memory=3 * 1024 + 1),
     ['#PBS -l select=2:ncpus=3:mpiprocs=3:ngpus=6:mem=2kb', '#PBS -l place=scatter']),
    (ResourceSpecV1(exclusive_node_use=True), ['#PBS -l select=1:ncpus=1:mpiprocs=1', '#PBS -l place=exclhost']),
    (ResourceSpecV1(node_count=2, exclusive_node_use=True),
     ['#PBS -l select=2:ncpus=1:mpiprocs=1', '#PBS -l place=scatter:exclhost']),
])
def test_resources(executor: PBSProJobExecutor, resources: ResourceSpecV1, directives: list[str]) -> None:
    assert asked(executor, resources=resources) == directives


def test_attributes(executor: PBSProJobExecutor) -> None:
    attributes = JobAttributes(
        timedelta(hours=100, seconds=0.5), 'workq', 'acc-1', None,
        {'pbs.P': 'project7', 'pbspro.filesystems': 'home', 'slurm.qos': 'high', 'pbs.h': None})
    assert asked(executor, attributes=attributes) == [
        '#PBS -l walltime=100:00:01', '#PBS -q workq', '#PBS -A acc-1', '#PBS -P project7', '#PBS -l filesystems=home',
        '#PBS -h']


@pytest.mark.parametrize(('attributes', 'instead'), [
    ({'pbs.J': '1-3'}, 'one job'), ({'pbspro.V': None}, 'inherit_environment'), ({'pbs.W': 'block=true'}, 'Job.wait')])
def test_what_would_make_it_another_submission_is_refused(
        executor: PBSProJobExecutor, attributes: dict[str, object], instead: str) -> None:
    with pytest.raises(InvalidJobException, match=instead):
        rendered(executor, JobSpec('/bin/date', attributes=JobAttributes(custom_attributes=attributes)))


def test_values_that_no_directive_holds_go_on_the_command_line(executor: PBSProJobExecutor) -> None:
    attributes = JobAttributes(custom_attributes={'pbs.W': 'umask=077 x', 'pbs.host': 'a(b)'})
    assert rendered(executor, JobSpec('/bin/date', attributes=attributes))[1] == ['-W', 'umask=077 x', '-l', 'host=a(b)']


def test_a_reservation_is_a_queue(executor: PBSProJobExecutor) -> None:
    assert asked(executor, attributes=JobAttributes(reservation_id='R12')) == ['#PBS -q R12']


def test_a_reservation_and_a_queue_are_refused(executor: PBSProJobExecutor) -> None:
    with pytest.raises(InvalidJobException, match=r"R12.*workq"):
        rendered(executor, JobSpec('/bin/date', attributes=JobAttributes(queue_name='workq', reservation_id='R12')))


@pytest.mark.parametrize(('name', 'label'), [
    ('/bin/date', '_bin_date'), ('a b', 'a_b'), ('jöb:1,2', 'j_b_1_2'), ('new\nline', 'new_line'), ('x' * 300, 'x' * 230)])
def test_a_name_is_made_one_that_qsub_takes(executor: PBSProJobExecutor, name: str, label: str) -> None:
    assert rendered(executor, JobSpec('/bin/date', name=name))[0][0] == f'#PBS -N {label}'


def test_odd_values_go_on_the_command_line(executor: PBSProJobExecutor) -> None:
    attributes = JobAttributes(account='my "account"', queue_name='a queue')
    directives, options = rendered(executor, JobSpec('/bin/date', attributes=attributes))
    assert options == ['-q', 'a queue', '-A', 'my "account"']
    assert not any(line.startswith(('#PBS -A', '#PBS -q')) for line in directives)


@pytest.mark.parametrize(('out', 'native_id'), [
    ('77.pbshost1\n', '77.pbshost1'), ('77[].pbshost1\n', '77[].pbshost1'), ('77\n', '77'),
    ('Welcome to the site!\n\n8.a-b.example.org\n', '8.a-b.example.org')])
def test_id(executor: PBSProJobExecutor, out: str, native_id: str) -> None:
    assert executor.job_id_from_submit_output(out) == native_id


@pytest.mark.parametrize('out', ['', 'welcome\n', 'usage: qsub [-a date_time]\n', '77', '77.pbsho'])
def test_no_id(executor: PBSProJobExecutor, out: str) -> None:
    with pytest.raises(ParseError):
        executor.job_id_from_submit_output(out)


def test_a_list_of_folders_that_is_cut_short_is_none(executor: PBSProJobExecutor) -> None:
    listed = (DATA / 'dsv-array-elements.stdout').read_bytes()
    assert executor.parse_origins(CommandResult(('qstat',), 0, listed)) is not None
    with pytest.raises(ParseError, match='middle'):
        executor.parse_origins(CommandResult(('qstat',), 0, listed[:-9]))


def test_one_command_for_all(executor: PBSProJobExecutor) -> None:
    assert executor.get_status_command(['1.host', '2.host']) == [*ASKED, '1.host', '2.host']


def test_with_history_the_finished_are_asked_for_too(executor: PBSProJobExecutor) -> None:
    executor._site = Site(product='pbspro', history=True)
    assert executor.get_status_command(['1.host']) == ['qstat', '-E', '-f', '-x', '-F', 'dsv', '-D', '\x1e', '1.host']


def test_very_many_are_asked_for_as_all(executor: PBSProJobExecutor) -> None:
    """Linux ends the arguments of a command at some 2 MB."""
    assert executor.get_status_command([f'{number}.host' for number in range(20_000)]) == ASKED


@pytest.mark.parametrize('wrong', ['abc', '', 'workq', '1,2', '-x', '1 .host', '²', '@host'])
def test_what_is_no_id_is_not_asked_for(executor: PBSProJobExecutor, wrong: str) -> None:
    """Seen: one of them is taken for a queue, and the whole command fails."""
    assert executor.get_status_command(['1.host', wrong, '2[3].host', '4[].a.b', '5']) == [*ASKED, '1.host', '2[3].host', '4[].a.b', '5']
    assert executor.get_single_status_command(wrong) is None


def test_a_job_whose_record_cannot_be_read_is_asked_for_alone(executor: PBSProJobExecutor) -> None:
    assert executor.get_single_status_command('1.host') == ['qstat', '-f', '1.host']
    executor._site = Site(product='pbspro', history=True)
    assert executor.get_single_status_command('1.host') == ['qstat', '-f', '-x', '1.host']
    text = b'Job Id: 1.host\n    job_state = R\n\n'
    assert executor.parse_single_status(CommandResult(('qstat',), 0, text))['1.host'].status.state is JobState.ACTIVE
    assert executor.parse_single_status(CommandResult(('qstat',), 153, b'', b'qstat: Unknown Job Id 1.host')) == {}
    with pytest.raises(CommandError):
        executor.parse_single_status(CommandResult(('qstat',), 255, b'', b'qstat: cannot connect'))


def test_an_unknown_id_may_hide_what_was_asked_for_behind_it(executor: PBSProJobExecutor) -> None:
    """Seen with a newer client (qstat-several-one-unknown.head): of 39, 999999 and 32 it printed 39 alone."""
    row = b'Job Id: 39.host\x1ejob_state=R\n'
    asked = executor.parse_status(CommandResult(('qstat',), 153, row, b'qstat: Unknown Job Id 999999.host'))
    assert isinstance(asked, Observations)
    assert asked.may_hide('32.host')
    answered = executor.parse_status(CommandResult(('qstat',), 0, row))
    assert isinstance(answered, Observations)
    assert not answered.may_hide('32.host')


def test_history_that_was_switched_off_is_no_answer(executor: PBSProJobExecutor) -> None:
    """Seen: `qstat -x` then shows nothing of running jobs either, and succeeds."""
    executor._site = Site(product='pbspro', history=True)
    with pytest.raises(CommandError, match='job history'):
        executor.parse_status(CommandResult(('qstat',), 0, b'', b'qstat: PBS is not configured to maintain job history 243.pbshost1'))
    assert executor._site is None  # asked anew


def test_the_simple_interface_reads_what_was_stripped(executor: PBSProJobExecutor) -> None:
    assert executor.parse_status_output(0, 'Job Id: 1.host\x1ejob_state=R')['1.host'].state is JobState.ACTIVE


# Exit codes as captured: 153 unknown id, 35 finished id, 255 no server, 162 connection refused.
@pytest.mark.parametrize('exit_code', [0, 35, 153])
def test_an_answer(executor: PBSProJobExecutor, exit_code: int) -> None:
    assert executor.parse_status(CommandResult(('qstat',), exit_code, b'', b'qstat: Unknown Job Id 9.host')) == {}


@pytest.mark.parametrize('exit_code', [1, 162, 255, -9])
def test_no_answer(executor: PBSProJobExecutor, exit_code: int) -> None:
    with pytest.raises(CommandError, match='cannot connect'):
        executor.parse_status(CommandResult(('qstat',), exit_code, b'', b'qstat: cannot connect to server'))


@pytest.mark.parametrize('exit_code', [35, 55, 153, 168])
def test_cancelling_what_is_over_is_no_error(executor: PBSProJobExecutor, exit_code: int) -> None:
    executor.process_cancel_command_output(exit_code, 'qdel: Unknown Job Id 9.host')


def test_cancelling_somebody_elses_job(executor: PBSProJobExecutor) -> None:
    with pytest.raises(SubmitException, match='Unauthorized Request'):
        executor.process_cancel_command_output(159, 'qdel: Unauthorized Request  9.host')


def test_acting_on_many_jobs(executor: PBSProJobExecutor) -> None:
    assert executor.get_cancel_many_command(['1.a', '2.a']) == ['qdel', '1.a', '2.a']
    assert executor.get_signal_command(['1.a', '2.a'], Signals.SIGCONT) == ['qsig', '-s', 'SIGCONT', '1.a', '2.a']
    assert executor.get_hold_command('1.a') == ['qhold', '1.a']
    assert executor.get_release_command('1.a') == ['qrls', '1.a']


@pytest.mark.parametrize('name', ['SIGUSR1', 'SIGTERM', 'SIGALRM', 'SIGRTMIN'])
def test_a_signal_that_ends_the_login_shell_is_refused(executor: PBSProJobExecutor, name: str) -> None:
    with pytest.raises(InvalidJobException, match=f'{name} to the login shell'):
        executor.get_signal_command(['1.a'], Signals[name])


def captured(name: str) -> CommandResult:
    head, _, rest = (DATA / f'{name}.txt').read_bytes().partition(b'--- stdout ---\n')
    (code,) = re.findall(rb'^# rc: (\d+)$', head, re.MULTILINE)
    return CommandResult(('q',), int(code), (DATA / f'{name}.stdout').read_bytes(), rest.rpartition(b'--- stderr ---\n')[2])


@pytest.mark.parametrize(('name', 'refused'), [
    ('qdel-several-one-unknown', {'999999.pbshost1': 153}), ('qdel-otheruser', {'69.pbshost1': 159}),
    ('qdel-finished', {'39.pbshost1': 35}), ('qdel-malformed', {'abc': 1}), ('qsig-queued', {'34.pbshost1': 168}),
    ('qsig-finished', None)])
def test_which_of_many_were_refused(executor: PBSProJobExecutor, name: str, refused: dict[str, int] | None) -> None:
    ids = ['34.pbshost1', '39.pbshost1', '67.pbshost1', '68.pbshost1', '69.pbshost1', '999999.pbshost1', 'abc']
    refusals = executor.parse_refusals(captured(name), ids)
    assert (None if refusals is None else {native_id: refusal.exit_code for native_id, refusal in refusals.items()}) == refused


def test_refusals_of_one_command_have_codes_of_their_own(executor: PBSProJobExecutor) -> None:
    said = b'qdel: Job has finished 1.a\nqdel: Request invalid for finished array subjob 4[2].a\nqdel: Unauthorized Request  2.a\n'
    assert executor.parse_refusals(CommandResult(('qdel',), 159, b'', said), ['1.a', '2.a', '3.a', '4[2].a']) == {
        '1.a': (35, 'qdel: Job has finished 1.a'), '2.a': (159, 'qdel: Unauthorized Request  2.a'),
        '4[2].a': (55, 'qdel: Request invalid for finished array subjob 4[2].a')}


@pytest.mark.parametrize(('command', 'exit_code', 'unanswered'), [
    ('qdel', 162, True), ('qstat', 255, True), ('qdel', 159, False), ('qdel', 153, False), ('qdel', 0, False)])
def test_which_commands_had_no_answer(executor: PBSProJobExecutor, command: str, exit_code: int, unanswered: bool) -> None:
    assert executor.is_without_answer(CommandResult((command,), exit_code)) is unanswered


@pytest.mark.parametrize(('exit_code', 'transient'), [(38, True), (162, True), (170, False), (187, False)])
def test_what_passes(executor: PBSProJobExecutor, exit_code: int, transient: bool) -> None:
    assert executor.is_transient(CommandResult(('qsub',), exit_code, b'', b'')) is transient


# -- waiting for other jobs: qsub(1B), -W depend


@pytest.mark.parametrize(('given', 'value'), [
    ((['77.host'], [], []), 'afterok:77.host'),
    ((['77.host', '78[].host'], ['79.host'], ['80.host']), 'afterok:77.host:78[].host,afterany:79.host,afternotok:80.host'),
])
def test_dependencies(executor: PBSProJobExecutor, given: tuple[list[str], list[str], list[str]], value: str) -> None:
    assert executor.get_dependency_option(*given) == ['-W', f'depend={value}']


def test_no_job_waits_for_an_element_of_an_array(executor: PBSProJobExecutor) -> None:
    for given in ((['77[3].host'], [], []), ([], ['77[3].host'], []), ([], [], ['77[3].host'])):
        with pytest.raises(InvalidJobException, match=r'77\[3\]\.host'):
            executor.get_dependency_option(*given)


def test_dependencies_are_said_in_one_way(executor: PBSProJobExecutor) -> None:
    def job(value: str) -> Job:
        spec = JobSpec('/bin/date', attributes=JobAttributes(custom_attributes={'pbs.W': value}))
        return Job(make_absolute(spec, Path('/here')))

    dependencies = Dependencies(('77.host',))
    with pytest.raises(InvalidJobException, match='depend=afterany:1'):
        executor.render(job('depend=afterany:1'), FOLDER, 'n', dependencies=dependencies)
    script, command = executor.render(job('umask=022'), FOLDER, 'n', dependencies=dependencies)
    assert '#PBS -W umask=022' in script
    assert command == ['qsub', '-W', 'depend=afterok:77.host', str(FOLDER.script_path)]
