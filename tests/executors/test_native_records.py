"""What `native_record` reads: captures of real schedulers, with names that are made to mislead."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext.exceptions import ParseError
from psij_ext.executors.batch import pbspro_dsv, pbspro_native_record, slurm_native_record

RECORDS = Path(__file__).parent.parent / 'data' / 'records'
PBS = Path(__file__).parent.parent / 'data' / 'pbspro'
HOSTILE_NAME = '''a b=c
State=x
   UserId=me(1) GroupId=us(1) MCS_label=N/A
   Priority=1 Nice=0 Account=(null) QOS=(null)
   JobState=COMPLETED Reason=None Dependency=(null)
   Requeue=1 ExitCode=7:0'''

# -- Slurm


def test_a_name_that_looks_like_a_record() -> None:
    """sbatch --hold -J '<such a name>' --comment='<and such a comment>' -o '/tmp/a b=c.out'"""
    record = slurm_native_record.parse_show_job((RECORDS / 'scontrol-show-job-hostile.stdout').read_text())
    assert record['JobName'] == HOSTILE_NAME
    expected = {'JobState': 'PENDING', 'Reason': 'JobHeldUser', 'ExitCode': '0:0', 'UserId': 'root(0)', 'Requeue': '1',
                'StdOut': '/tmp/a b=c.out', 'CPUs/Task': '1', 'TimeLimit': 'UNLIMITED', 'QOS': 'normal'}
    assert {name: record.get(name) for name in expected} == expected
    assert record['Comment'].startswith('x\nJobId=12 JobState=FAILED')


@pytest.mark.parametrize('name', ['array', 'element'])
def test_a_record_of_an_array(name: str) -> None:
    text = (RECORDS / f'scontrol-show-job-{name}.stdout').read_text()
    record = slurm_native_record.parse_show_job(text)
    assert text.startswith(f'JobId={record["JobId"]} ArrayJobId={record["ArrayJobId"]} ArrayTaskId={record["ArrayTaskId"]} ')
    assert (record['JobName'], record['JobState'], record['ArrayTaskId']) == ('wrap', 'RUNNING', '7')


def test_what_is_no_record_of_slurm() -> None:
    for text in ('', '\n', 'slurm_load_jobs error: Invalid job id specified\n'):
        assert slurm_native_record.parse_show_job(text) == {}
    with pytest.raises(ParseError):
        slurm_native_record.parse_show_job('JobId=1 JobName=x\n   UserId=')


def test_accounting() -> None:
    """sbatch -J '<two lines>' --wrap 'exit 3'; sacct --parsable2 --delimiter=<RS> --allocations --format=ALL --jobs=2"""
    text = (RECORDS / 'sacct-all-hostile.stdout').read_text()
    record = slurm_native_record.parse_accounting_record(text)
    assert record['JobName'] == 'two\nlines a=b `q` |'  # sacct writes no quotes
    assert (record['JobID'], record['State'], record['ExitCode'], record['Cluster'], record['WorkDir']) == (
        '2', 'FAILED', '3:0', 'psij', '/tmp/ctl')
    assert slurm_native_record.parse_accounting_record(text.partition('\n')[0] + '\n') == {}
    with pytest.raises(ParseError):
        slurm_native_record.parse_accounting_record(text + text.partition('\n')[2])


# -- PBS


def test_values_that_look_like_other_fields() -> None:
    """qsub -A 'acc "x" \\' -v FOO='a<RS>Exit_status=0',BAR='line<newline>Job Id: 1.pbshost1<RS>job_state=F' -h"""
    record = pbspro_native_record.parse_job((PBS / 'dsv-hostile.stdout').read_text(), '\x1e')
    expected = {'Job_Id': '2940.pbshost1', 'job_state': 'H', 'Account_Name': 'acc "x" \\', 'Checkpoint': 'u',
                'Resource_List.ncpus': '1', 'Submit_Host': 'pbshost1', 'Exit_status': None}
    assert {name: record.get(name) for name in expected} == expected
    assert 'BAR=line\nJob Id: 1.pbshost1' in record['Variable_List']


@pytest.mark.parametrize(('written', 'value'), [
    (r'C:\\temp', r'C:\temp'), (r'a\nb', 'a\nb'), (r'a\\nb', r'a\nb'), (r'a\,b', r'a\,b'), (r'\'q\"', r'\'q\"'), (r'end\\', 'end\\'),
    (r'a\|b', 'a|b'), (r'a\\\|b', r'a\|b')])
def test_backslashes(written: str, value: str) -> None:
    fields = pbspro_dsv.split_record(f'x={written}|y=1', '|')
    assert [pbspro_dsv.read_value(field, '|') for field in fields] == [f'x={value}', 'y=1']


def test_what_is_no_record_of_pbs() -> None:
    for text in ('', 'qstat: Unknown Job Id 9.host\n'):
        assert pbspro_native_record.parse_job(text, '|') == {}
    for text in ('Job Id: 9.host', 'Job Id: 9.host|job_state'):
        with pytest.raises(ParseError):
            pbspro_native_record.parse_job(text, '|')


@pytest.mark.parametrize(('printed', 'version'), [
    ('pbs_version = 23.06.06\n', 'OpenPBS 23.06.06'), ('pbs_version = 20.0.1\n', 'OpenPBS 20.0.1'),
    ('pbs_version = 19.1.3\n', 'PBS Pro 19.1.3'), ('pbs_version = 2022.1.1.20220926110806\n', 'PBS Pro 2022.1.1'),
    ('pbs_version = PBSPro_12.2.1.140292\n', 'PBS Pro 12.2.1'), ('Version: 6.1.2\nCommit: 661e092552de\n', 'Torque 6.1.2'),
    ((RECORDS / 'torque-version.stderr').read_text(), 'Torque master')])
def test_products(printed: str, version: str) -> None:
    assert pbspro_native_record.parse_version(printed) == version


def test_no_product() -> None:
    with pytest.raises(ParseError):
        pbspro_native_record.parse_version('usage: qstat [-f]')


# -- whatever is printed

CAPTURES = [(RECORDS / f'{name}.stdout').read_text() for name in (
    'scontrol-show-job-hostile', 'scontrol-show-job-array', 'sacct-all-hostile')] + [(PBS / 'dsv-hostile.stdout').read_text()]


@given(st.sampled_from(CAPTURES), st.integers(0, 3000), st.integers(0, 3000), st.text(max_size=20))
def test_a_damaged_record_is_read_or_refused(text: str, begin: int, end: int, put_in: str) -> None:
    damaged = text[:begin] + put_in + text[max(begin, end):]
    for parse in (slurm_native_record.parse_show_job, slurm_native_record.parse_accounting_record,
                  lambda text: pbspro_native_record.parse_job(text, '\x1e')):
        try:
            record = parse(damaged)
        except ParseError:
            continue
        assert all(isinstance(part, str) for pair in record.items() for part in pair)
