"""The simulated PBS against captures of a real one: refusals, exit codes, formats, environments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest
from pbs_captures import HOME, SUBMITTED_IN, comparable, load

if TYPE_CHECKING:
    from conftest import Site

SLEEP = 'sleep 60'
HERE = (Path(SUBMITTED_IN), Path(HOME))

# Submissions: the command lines and scripts of the captures themselves

SUBMISSIONS: dict[str, dict[str, Any]] = {
    **{
        name: {}
        for name in (
            'qsub-ok-stdin', 'qsub-ok-file', 'qsub-ok-cmd', 'qsub-ok-root', 'qsub-ok-array', 'qsub-ok-queue-at',
            'qsub-err-badqueue', 'qsub-err-badserver', 'qsub-err-badresource', 'qsub-err-badselect',
            'qsub-err-badselect2', 'qsub-err-mixed-select-ncpus', 'qsub-err-badwalltime', 'qsub-err-badmem',
            'qsub-err-nofile', 'qsub-err-directory', 'qsub-err-emptyfile', 'qsub-err-emptystdin', 'qsub-err-badopt',
            'qsub-err-name-space', 'qsub-err-name-colon', 'qsub-name-slash', 'qsub-name-digit', 'qsub-name-unicode',
            'qsub-name-quote', 'qsub-name-newline', 'qsub-name-comma', 'qsub-name-dots', 'qsub-name-len15',
            'qsub-name-len16', 'qsub-name-len230', 'qsub-name-len231', 'qsub-name-len300', 'qsub-name-empty',
            'qsub-err-baddepend', 'qsub-err-baddepend-syntax', 'qsub-err-badarray', 'qsub-err-array1',
            'qsub-err-array-step', 'qsub-err-array-max', 'qsub-err-priority', 'qsub-err-badscript-directive',
            'qsub-crlf-script', 'qsub-crlf-directive', 'qsub-nul-script', 'qsub-env-squote', 'qsub-env-bareunset',
            'qsub-env-proj', 'qsub-env-outq', 'qsub-env-outnl', 'qsub-block',
        )
    },
    'qsub-crlf-script-head': {'output': 'head'},
    'qsub-err-queue-disabled': {'queue_enabled': False},
    'qsub-err-queue-limit': {'max_walltime': 3600},
    'qsub-err-max-queued': {'max_queued': 0},
    'serverdown-qsub': {'down': True},
    'serverdown-qsub-f': {'down': True},
}  # fmt: skip


@pytest.mark.parametrize('name', SUBMISSIONS)
def test_submission(site: Site, name: str) -> None:
    (site.folder / 'ok.sh').write_text('true\n')
    (site.folder / 'empty.sh').write_text('')
    site.pbs.set(**SUBMISSIONS[name])
    capture = load(name)
    words = [word.encode().decode('latin-1') for word in capture.command[1:]]
    site.answers(name, 'qsub', *words, stdin=capture.stdin.decode('latin-1'))


@pytest.mark.parametrize(
    ('variable', 'name'), [('PBS_SERVER', 'qsub-env-PBS_SERVER-badhost'), ('PBS_DEFAULT', 'qsub-err-noserver')]
)
def test_server_named_by_environment(site: Site, variable: str, name: str) -> None:
    site.answers(name, 'qsub', stdin='true', **{variable: 'nosuchhost.example'})


def test_refused_submissions_spend_numbers(site: Site) -> None:
    first = int(site.submit().partition('.')[0])
    site.run('qsub', '-l', 'nosuchres=3')  # refused by the server
    site.run('qsub', '-l', 'walltime=abc')  # refused by qsub itself
    assert int(site.submit().partition('.')[0]) == first + 2


# Commands on jobs. Words in braces stand for the ids of jobs in these states.


def finished(site: Site) -> str:
    site.pbs.set(session_delay=1000.0)
    identifier = site.submit('-N', 'ok', script='sleep 0.01')
    site.pbs.wait(identifier, 'F')
    site.pbs.set(session_delay=0.0)
    return identifier


def running(site: Site) -> str:
    identifier = site.submit(script=SLEEP)
    site.pbs.wait(identifier, '42')
    return identifier


def suspended(site: Site) -> str:
    identifier = running(site)
    assert site.run('qsig', '-s', 'suspend', identifier, user='root')[0] == 0
    return identifier


def forgotten(site: Site) -> str:
    identifier = finished(site)
    assert site.run('qdel', '-x', identifier) == (0, '', '')
    return identifier


def running_array(site: Site) -> str:
    identifier = site.submit('-J', '0-3', script=SLEEP)
    site.pbs.wait(identifier.replace('[]', '[1]'), '42')
    return identifier.partition('[')[0]


STATES: dict[str, Callable[[Site], str]] = {
    'finished': finished,
    'running': running,
    'another': running,
    'suspended': suspended,
    'held': lambda site: site.submit('-h'),
    'forgotten': forgotten,
    'queued': lambda site: site.submit('-l', 'select=1:ncpus=1000'),
    'roots': lambda site: site.submit(script=SLEEP, user='root'),
    'array': running_array,
}
QSTAT = 'qstat -f -F json '
COMMANDS = {
    'qdel-queued': 'qdel {queued}',
    'qdel-running': 'qdel {running}',
    'qdel-finished': 'qdel {finished}',
    'qdel-finished-x': 'qdel -x {finished}',
    'qdel-x-running': 'qdel -x {running}',
    'qdel-force': 'qdel -W force {running}',
    'qdel-unknown': 'qdel 999999.pbshost1',
    'qdel-malformed': 'qdel abc',
    'qdel-malformed2': 'qdel ',
    'qdel-otherserver': 'qdel 1.otherhost',
    'qdel-several-one-unknown': 'qdel {running} 999999.pbshost1 {another}',
    'qdel-otheruser': 'qdel {roots}',
    'qdel-subjob': 'qdel {array}[1].pbshost1',
    'qdel-array': 'qdel {array}[].pbshost1',
    'qhold-ok': 'qhold {queued}',
    'qhold-running': 'qhold {running}',
    'qhold-finished': 'qhold {finished}',
    'qhold-unknown': 'qhold 999999',
    'qrls-ok': 'qrls {held}',
    'qrls-finished': 'qrls {finished}',
    'qrerun-tester': 'qrerun {running}',
    'qrerun-root': 'qrerun {running}',
    'qsig-suspend-tester': 'qsig -s suspend {running}',
    'qsig-suspend-root': 'qsig -s suspend {running}',
    'qsig-suspended-again': 'qsig -s suspend {suspended}',
    'qsig-resume-root': 'qsig -s resume {suspended}',
    'qsig-USR1': 'qsig -s SIGUSR1 {running}',
    'qsig-kill': 'qsig -s SIGKILL {running}',
    'qsig-finished': 'qsig -s SIGTERM {finished}',
    'qsig-queued': 'qsig -s SIGTERM {held}',
    'qsig-badsig': 'qsig -s NOSUCH {running}',
    'qstat-unknown': QSTAT + '-x 999999.pbshost1',
    'qstat-malformed': QSTAT + '-x abc',
    'qstat-otherserver': QSTAT + '-x 1.otherhost',
    'qstat-at-badserver': QSTAT + '-x {finished}@nosuchhost',
    'qstat-several-only-unknown': QSTAT + '-x 999998 999999',
    'qstat-several-first-unknown': QSTAT + '-x 999999.pbshost1 {finished}',
    'qstat-finished-without-x': QSTAT + '{finished}',
    'qstat-shortid': QSTAT + '-x {finished:short}',
    'qstat-duplicate-id': QSTAT + '-x {finished} {finished}',
    'qstat-array-badindex': QSTAT + '-x {array}[9]',
    'qstat-after-qdel-x': QSTAT + '-x {forgotten}',
    'qstat-f-text': 'qstat -f -x {finished}',
    'qstat-F-dsv': 'qstat -f -F dsv -x {finished}',
    'qstat-plain-x': 'qstat -x {finished}',
}


def words_for(site: Site, command: str) -> list[str]:
    words: list[str] = []
    known: dict[str, str] = {}
    for word in command.split(' '):
        start, brace, rest = word.partition('{')
        if brace:
            key, _, end = rest.partition('}')
            state, _, short = key.partition(':')
            identifier = known.setdefault(state, STATES[state](site) if state not in known else '')
            word = start + (identifier.partition('.')[0] if short else identifier) + end
        words.append(word)
    return words


@pytest.mark.parametrize('name', COMMANDS)
def test_command(site: Site, name: str) -> None:
    words = words_for(site, COMMANDS[name])
    capture = load(name)
    code, out, error = site.run(*words, user='root' if name.endswith(('-root', '-again')) else 'tester')
    assert (code, site.comparable(error)) == (capture.code, comparable(capture.error, *HERE))
    said, captured = site.comparable(out.replace('\n\t', '')), comparable(capture.out.replace('\n\t', ''), *HERE)
    if name in ('qstat-f-text', 'qstat-plain-x'):
        # widths and line breaks in these captures are those of a server with a longer name
        assert said.split() == captured.split()
    else:
        assert said == captured


def test_several_ids_with_one_that_is_bad(site: Site) -> None:
    first, second = words_for(site, '{finished} {running}')
    for bad, name in (('999999.pbshost1', 'unknown'), ('abc', 'malformed')):
        capture = load(f'qstat-several-one-{name}')
        code, out, error = site.run('qstat', '-f', '-F', 'json', '-x', first, bad, second)
        assert (code, error) == (capture.code, capture.error)
        assert re.findall(r'"(\S+)":\{\n +"Job_Name"', out) == [first, second]


def test_mixed_without_x(site: Site) -> None:
    ended, alive = words_for(site, '{finished} {running}')
    code, out, error = site.run('qstat', '-f', '-F', 'json', ended, alive)
    assert (code, site.comparable(error)) == (35, comparable(load('qstat-mixed-without-x').error, *HERE))
    assert f'"{alive}":{{' in out
    assert f'"{ended}":{{' not in out


def test_range_of_subjobs(site: Site) -> None:
    number = running_array(site)
    out = site.run('qstat', '-f', '-F', 'json', f'{number}[0-1].pbshost1')[1]
    assert re.findall(r'"(\S+)":\{\n +"Job_Name"', out) == [f'{number}[0].pbshost1', f'{number}[1].pbshost1']


def test_listing(site: Site) -> None:
    """Plain `qstat` and `qselect` show what has not ended, in the order of submission."""
    waiting = [site.submit('-h', '-N', name) for name in ('toobig', 'heldh', 'waita')]
    ended = finished(site)
    code, out, error = site.run('qstat')
    captured = load('qstat-plain').out.splitlines()
    assert (code, error, out.splitlines()[:2]) == (0, '', captured[:2])
    assert [line.split()[:3] for line in out.splitlines()[2:]] == [
        [identifier, *line.split()[1:3]] for identifier, line in zip(waiting, captured[2:])
    ]
    assert site.run('qselect', '-u', 'tester') == (0, ''.join(f'{identifier}\n' for identifier in waiting), '')
    assert ended in site.run('qselect', '-x', '-s', 'F')[1].split()


NO_HISTORY = {
    'qstat-nohistory-finished-x': QSTAT + '-x 242.pbshost1',
    'qstat-nohistory-finished': QSTAT + '{finished}',
    'qstat-nohistory-running-x': QSTAT + '-x {running}',
    'qstat-nohistory-running': QSTAT + '{running}',
    'qstat-nohistory-held-x': QSTAT + '-x {held}',
    'qstat-nohistory-all-x': QSTAT + '-x',
    'qstat-nohistory-run+held-x': QSTAT + '-x {running} {held}',
    'qstat-nohistory-unknown-x': QSTAT + '-x 999999',
    'qstat-all-empty': 'qstat -f -F json',
    'qstat-nohistory-running-x.head': QSTAT + '-x {running}',
    'qstat-all-empty.head': 'qstat -f -F json',
}


@pytest.mark.parametrize('name', NO_HISTORY)
def test_without_history(site: Site, name: str) -> None:
    words = words_for(site, NO_HISTORY[name])
    site.pbs.set(history=False, output='head' if name.endswith('.head') else '23.06')
    if name == 'qstat-nohistory-running':
        code, out, error = site.run(*words)
        assert (code, error, words[-1] in out) == (0, '', True)
    else:
        site.answers(name, *words)


DOWN = {
    'serverdown-qstat': 'qstat -f -F json -x 1',
    'serverdown-qstat.head': 'qstat -f -F json -x 1',
    'serverdown-qdel': 'qdel 1',
    'serverdown-qhold': 'qhold 1',
    'serverdown-qselect': 'qselect',
}


@pytest.mark.parametrize('name', DOWN)
def test_server_down(site: Site, name: str) -> None:
    site.pbs.set(down=True, output='head' if name.endswith('.head') else '23.06')
    site.answers(name, *DOWN[name].split())


# Seen on a real PBS of the same version

EXPRESS = {
    '{held} 999998 999999': (0, '{held}', ''),
    '999998.pbshost1 999999': (153, '', 'Unknown Job Id 999999.pbshost1'),
    '{held} {finished}': (0, '{held}', ''),
    '{finished}': (35, '', '{finished} Job has finished, use -x or -H to obtain historical job information'),
    '-x {held} {finished} {held} 999999': (0, '{held} {held} {finished}', ''),
    '{held} 1.other': (1, '{held}', 'illegally formed job identifier: 1.other'),
    '{held} abc': (1, '', 'Express option can only be used with job ids'),
}


@pytest.mark.parametrize('command', EXPRESS)
def test_all_ids_in_one_request(site: Site, command: str) -> None:
    """With -E unknown and finished jobs are passed over in silence, unless there is no other."""
    held, ended = words_for(site, '{held} {finished}')
    code, listed, message = (str(text).format(held=held, finished=ended) for text in EXPRESS[command])
    found, out, error = site.run(*f'qstat -E -f -F dsv {command}'.format(held=held, finished=ended).split())
    assert (found, re.findall(r'^Job Id: (\S+?)\|', out, re.MULTILINE)) == (int(code), listed.split())
    assert error == (f'qstat: {message}\n' if message else '')
