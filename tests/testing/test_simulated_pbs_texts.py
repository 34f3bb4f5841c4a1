"""What becomes of texts in the simulated PBS: variables and names, in the job and in what `qstat` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pbs_captures import FOLDER, HOME, SUBMITTED_IN, comparable

from psij_ext.testing.simulated.pbs.reports import json_report

if TYPE_CHECKING:
    from conftest import Site

VARIABLES = {
    'plain': ['-v', 'FOO=bar,BAZ=a b'],
    'dquote': ['-v', 'FOO=say "hi"'],
    'squotecomma': ['-v', "FOO='a,b',BAR=2"],
    'dquotecomma': ['-v', 'FOO="a,b",BAR=2'],
    'backslash': ['-v', 'FOO=C:\\temp\\new'],
    'backslashcomma': ['-v', 'FOO=a\\,b,BAR=2'],
    'newline': ['-v', 'FOO=line1\nline2'],
    'tab': ['-v', 'FOO=a\tb'],
    'unicode': ['-v', 'FOO=h\xc3\xa9llo \xe2\x98\x83'],
    'ctrl': ['-v', 'FOO=a\x01b\x1bc'],
    'latin1': ['-v', 'FOO=caf\xe9'],
    'equals': ['-v', 'FOO=a=b=c'],
    'empty': ['-v', 'FOO='],
    'bare': ['-v', 'FOO'],
    'numeric': ['-v', 'A=007,B=1e5,C=12,D=-3.5,E=nan,F=inf,G=true,H=0x10,I=1_000,J=.5,K=5.,L=+5,M=infinity,N=1E400'],
    'bigV': ['-V'],
    'dup': ['-v', 'FOO=1,FOO=2'],
    'acct': ['-A', 'acc "x" y'],
    'acct1': ['-A', '123'],
    'outcomma': ['-o', '{folder}/a,b.out'],
    'wd': [],
}


@pytest.mark.parametrize('name', VARIABLES)
def test_variables(site: Site, name: str) -> None:
    words = [word.replace('{folder}', str(site.folder)) for word in VARIABLES[name]]
    identifier = site.submit('-h', '-N', name, *words, FOO='from "env", with comma')
    site.agree(f'qstat-env-{name}', identifier)


BEYOND_PBS = ('PATH', 'MANPATH')
"""Variables of the captures that come from the login shell's own files."""


@pytest.mark.parametrize('name', VARIABLES)
def test_environment_of_job(site: Site, name: str) -> None:
    """Every variable of the captured job is there, with the same value."""
    words = [word.replace('{folder}', str(site.folder)) for word in VARIABLES[name]]
    seen = site.folder / f'{name}.env'
    identifier = site.submit('-N', name, *words, script=f'env | sort | cat -v >{seen}', FOO='from "env", with comma')
    site.pbs.wait(identifier, 'F')
    captured = (FOLDER / f'jobenv-{name}.txt').read_text()
    told = site.comparable(seen.read_text())
    for folder, real in (('/aux/', '/var/spool/pbs/aux/'), ('/tmp/pbs.', '/var/tmp/pbs.')):
        told = told.replace(f'{site.pbs.folder}{folder}', real)
    for line in comparable(captured, Path(SUBMITTED_IN), Path(HOME)).splitlines():
        variable = line.partition('=')[0]
        if variable in ('USER', 'LOGNAME'):  # the simulation runs jobs as whoever runs it
            assert f'{variable}=' in told
        elif variable not in BEYOND_PBS:
            assert line in told.splitlines()


def test_variables_pass_where_that_works(site: Site) -> None:
    site.pbs.set(pass_environment=True)
    identifier = site.submit('-h', '-V', FOO='it\'s "a, b" c:\\d')
    site.pbs.set(pass_environment=False, output='head')
    variables = json.loads(site.run('qstat', '-f', '-F', 'json', identifier)[1])['Jobs'][identifier]['Variable_List']
    assert variables['FOO'] == 'it\\\'s \\"a, b\\" c:\\\\d'


def test_timestamp_that_is_lost_every_256_seconds() -> None:
    """As in the capture `qstat-array-all-fail`."""
    assert '"timestamp":"",' in json_report([], 'pbshost1', '23.06.06', 1795170560, '23.06')
    assert '"timestamp":1795170561,' in json_report([], 'pbshost1', '23.06.06', 1795170561, '23.06')
    assert '"timestamp":\t1795170560,' in json_report([], 'pbshost1', '23.06.06', 1795170560, 'head')


@given(st.text(st.characters(max_codepoint=255, exclude_characters='\0')))
def test_newer_client_keeps_texts(text: str) -> None:
    report = json.loads(json_report([('1.s', [('Job_Name', None, text)])], 's', '1', 1, 'head'))
    assert report['Jobs']['1.s']['Job_Name'] == text


@pytest.mark.parametrize('text', ['nan', 'inf', '.5', '5.', '+5', '-0x10', '"quoted"'])
def test_older_client_writes_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError):
        json.loads(json_report([('1.s', [('Job_Name', None, text)])], 's', '1', 1, '23.06'), parse_constant=int)
