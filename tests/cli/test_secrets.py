"""Nothing of an environment gets into the index, into what is printed or into logs, but for what is in the spec itself."""

from __future__ import annotations

import logging

import pytest
from cli_shell import Shell

from psij_ext.exceptions import PsijExtError
from psij_ext.testing import ExecParams

pytestmark = pytest.mark.conformance(any_launcher=True)

# One in the environment of whoever submits, one in the spec.
INHERITED, GIVEN = 'inherited-8d1c0a', 'given-5f72be'
NO_SUCH = '/no such/program'


@pytest.fixture
def secretive(site: Shell) -> Shell:
    site.environment['INHERITED_SECRET'] = INHERITED
    return site


def test_what_is_printed_and_kept_for_all_jobs(secretive: Shell) -> None:
    told = []
    for command in (['sh', '-c', 'test -n "$GIVEN_SECRET"'], ['sh', '-c', 'exit 3'], [NO_SUCH]):
        done = secretive('--verbose', 'run', '--json', f'--env=GIVEN_SECRET={GIVEN}', '--', *command, code=None)
        told.append(done.stderr + done.stdout)
    for words in (['ls'], ['ls', '--json'], ['status', '--json', '@last'], ['status', '@last'], ['index', 'rebuild', '--json'],
                  ['executors', '--json']):
        done = secretive('--verbose', *words)
        told.append(done.stderr + done.stdout)
    indexed = b''.join(path.read_bytes() for path in secretive.state.rglob('index.sqlite*'))
    assert b'COMPLETED' in indexed
    for text in (*told, indexed):
        assert INHERITED.encode() not in text
        assert GIVEN.encode() not in text


def test_a_script_that_is_shown_has_what_is_given_and_no_more(secretive: Shell) -> None:
    shown = secretive('render', f'--env=GIVEN_SECRET={GIVEN}', '--', 'true').stdout
    assert GIVEN.encode() in shown
    assert INHERITED.encode() not in shown


def test_what_is_logged(
        execparams: ExecParams, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv('INHERITED_SECRET', INHERITED)
    caplog.set_level(logging.DEBUG)
    told = []
    for words in (['/bin/true'], ['/bin/false'], ['/bin/sleep', '100'], [NO_SUCH]):
        job = execparams.job(words[0], words[1:], environment={'GIVEN_SECRET': GIVEN})
        logging.getLogger('psij_ext').debug('a user logs %r, %s and %r', job.spec, job, job)
        execparams.submit(job)
        with pytest.raises(PsijExtError) as refused:
            execparams.submit(job)
        if words[1:]:
            job.cancel()
        execparams.wait(job)
        told += [str(refused.value), str(job.status), repr(job.exit_info), repr(job.executor)]
    assert 'GIVEN_SECRET' in caplog.text
    for text in (caplog.text, *told):
        assert INHERITED not in text
        assert GIVEN not in text
