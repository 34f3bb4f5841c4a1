"""The simulated PBS against captures of a real one: arrays and their subjobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import pytest

if TYPE_CHECKING:
    from conftest import Site

SLEEP = 'sleep 60'
NEVER = 1000.0


def array(name: str, indices: str, script: str, deleted: bool = False) -> Callable[[Site], str]:
    def prepare(site: Site) -> str:
        identifier = site.submit('-N', name, '-J', indices, script=script)
        if deleted:
            for index in range(4):
                site.pbs.wait(identifier.replace('[]', f'[{index}]'), '42')
            assert site.run('qdel', identifier) == (0, '', '')
        site.pbs.wait(identifier, 'F')
        return identifier

    return prepare


def queued_array(site: Site) -> str:
    site.pbs.set(scheduling=False)
    return site.submit('-N', 'arrq', '-J', '0-3')


def started_array(site: Site) -> str:
    site.pbs.set(session_delay=NEVER)
    identifier = site.submit('-N', 'arr', '-J', '0-3', script=SLEEP)
    site.pbs.wait(identifier, 'B')
    return identifier


LAST_FAILS = 'sleep 0.$PBS_ARRAY_INDEX; test $PBS_ARRAY_INDEX != 2'
FIRST_FAILS = 'sleep 0.$PBS_ARRAY_INDEX; test $PBS_ARRAY_INDEX != 0'
ARRAYS: dict[str, tuple[Callable[[Site], str], str, str]] = {
    'qstat-array-queued': (queued_array, '', ''),
    'qstat-array-queued-t': (queued_array, '', '-t'),
    'qstat-array-running': (started_array, '', ''),
    'qstat-array-running-t': (started_array, '', '-t'),
    'qstat-array-subjob': (started_array, '[1]', ''),
    'qstat-array-fin': (array('arr', '0-3', 'sleep 0.$PBS_ARRAY_INDEX; test $PBS_ARRAY_INDEX != 2 || exit 3'), '', ''),
    'qstat-array-fin-t': (array('arr', '0-3', 'sleep 0.$((3 + PBS_ARRAY_INDEX)); test $PBS_ARRAY_INDEX != 2 || exit 3'), '', '-t'),
    'qstat-array-deleted-t': (array('arrdel', '0-3', SLEEP, deleted=True), '', '-t'),
    'qstat-array-allok': (array('arrok', '0-1', 'true'), '', ''),
    'qstat-array-last-fails': (array('arr', '0-2', LAST_FAILS), '', ''),
    'qstat-array-first-fails': (array('arr', '0-2', FIRST_FAILS), '', ''),
    'qstat-array-all-fail': (array('arr', '0-2', 'exit 1'), '', ''),
}


@pytest.mark.parametrize('name', ARRAYS)
def test_array(site: Site, name: str) -> None:
    prepare, subjob, option = ARRAYS[name]
    identifier = prepare(site)
    # the second client of that one asked a moment later, when the subjob had come further
    outputs = ('23.06',) if name == 'qstat-array-subjob' else ('23.06', 'head')
    site.agree(name, identifier.replace('[]', subjob or '[]'), *([option] if option else []), outputs=outputs)
