"""What an executor leaves behind is closed when it is garbage, wherever and whenever the collector finds that out."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from scenes import Clock, FakeSource

from psij_ext.runtime.callbacks import CallbackThread
from psij_ext.runtime.leftovers import Leftovers
from psij_ext.runtime.monitor import StatusMonitor
from psij_ext.runtime.schedule import Rhythm
from psij_ext.runtime.sharing import Membership, _monitors

SECONDS = 10.0


class Owner:
    """Garbage that only the collector can find: it holds itself."""

    def __init__(self) -> None:
        self.itself = self


class Closed:
    """Tells in which thread it was closed."""

    def __init__(self, *held: AbstractContextManager[object]) -> None:
        self._held = held
        self.event = threading.Event()
        self.threads: list[threading.Thread] = []

    def close(self) -> None:
        for lock in self._held:
            with lock:
                pass
        self.threads.append(threading.current_thread())
        self.event.set()


def collect_while(lock: AbstractContextManager[object]) -> bool:
    """Let the collector run in a thread that holds a lock; tell whether it comes back."""
    def collect() -> None:
        with lock:
            gc.collect()

    collecting = threading.Thread(target=collect, daemon=True)
    collecting.start()
    collecting.join(SECONDS)
    return not collecting.is_alive()


def test_it_is_closed_in_order_and_on_a_thread_of_its_own() -> None:
    first, second = Closed(), Closed()
    Leftovers(Owner(), first, second)
    gc.collect()
    assert second.event.wait(SECONDS)
    assert first.event.is_set()
    assert first.threads == second.threads
    assert first.threads != [threading.current_thread()]


def test_what_took_the_place_is_closed_instead() -> None:
    old, new = Closed(), Closed()
    Leftovers(Owner(), old).become(new)
    gc.collect()
    assert new.event.wait(SECONDS)
    assert not old.event.is_set()


def test_the_collector_waits_for_no_lock_that_closing_takes() -> None:
    lock = threading.Lock()
    closed = Closed(lock)
    Leftovers(Owner(), closed)
    assert collect_while(lock)
    assert closed.event.wait(SECONDS)


def test_the_collector_waits_for_no_lock_that_starting_a_thread_takes() -> None:
    """`threading` takes it whenever a thread begins or ends."""
    closed = Closed()
    Leftovers(Owner(), closed)
    assert collect_while(threading._active_limbo_lock)  # type: ignore[attr-defined]
    assert closed.event.wait(SECONDS)


class Following:
    """An owner like an executor: it follows and calls back."""

    def __init__(self, name: str) -> None:
        self.itself = self
        self.membership = Membership(FakeSource(Clock()), Rhythm())
        self.membership.join(name, name)
        self.callbacks = CallbackThread(name)
        self.callbacks.call(lambda: None)
        self.leftovers = Leftovers(self, self.membership, self.callbacks)


LOCKS: list[Callable[[StatusMonitor, CallbackThread], AbstractContextManager[object]]] = [
    lambda monitor, callbacks: _monitors.lock,
    lambda monitor, callbacks: monitor._lock,
    lambda monitor, callbacks: monitor._round,
    lambda monitor, callbacks: monitor._woken._cond,
    lambda monitor, callbacks: callbacks._lock,
]


@pytest.mark.parametrize('choose', LOCKS, ids=['monitors', 'monitor', 'round', 'woken', 'callbacks'])
def test_the_collector_waits_for_no_lock_of_ours(choose: Callable[..., AbstractContextManager[object]]) -> None:
    name = f'threads of {os.urandom(4).hex()}'
    owner = Following(name)
    monitor, gone = owner.membership.monitor, weakref.ref(owner)
    lock = choose(monitor, owner.callbacks)
    threads = [thread for thread in threading.enumerate() if thread.name == name]
    assert threads
    del owner
    assert collect_while(lock)
    assert gone() is None
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    with monitor._round:
        pass  # nobody holds it for good
    assert name not in _monitors.by_key


def test_what_was_closed_starts_no_thread_when_it_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the interpreter all is closed first, and then collected, when no thread may begin any more."""
    owner = Following('nobody')
    owner.leftovers.close()
    gone, started = weakref.ref(owner), []
    monkeypatch.setattr('_thread.start_new_thread', lambda *arguments: started.append(arguments))
    del owner
    gc.collect()
    assert gone() is None
    assert started == []


def test_what_nobody_collected_is_closed_at_the_end_of_the_interpreter(tmp_path: Path) -> None:
    assert told_by(tmp_path, '''
owner = Owner()
Leftovers(owner, Telling('one'), Telling('two'))
''') == 'one two '


def test_the_end_of_the_interpreter_waits_for_a_thread_that_has_yet_to_begin(tmp_path: Path) -> None:
    """One that begins after it was seen to crash the interpreter: Python 3.11 takes away from under it what it begins with."""
    assert told_by(tmp_path, '''
import _thread, time
start = _thread.start_new_thread
def start_late(function, arguments):
    def begin():
        time.sleep(0.2)
        tell('begun')
        function(*arguments)
    return start(begin, ())
_thread.start_new_thread = start_late
owner = Owner()
Leftovers(owner, Telling('closed'))
del owner
''') == 'closed begun '


def test_a_process_that_was_forked_off_closes_what_its_own_owners_leave(tmp_path: Path) -> None:
    by_child, by_parent = told_by(tmp_path, '''
held, may_go = threading.Event(), threading.Event()
class Slow:
    def close(self):
        held.set()
        may_go.wait()
        tell('slow')
owner = Owner()
Leftovers(owner, Telling('kept'))
forgotten = Owner()
Leftovers(forgotten, Slow())
del forgotten
held.wait()
pid = os.fork()
if pid == 0:
    tell('child:')
    sys.exit()
assert os.waitpid(pid, 0)[1] == 0
tell('parent:')
may_go.set()
''').split('parent: ')
    assert by_child == 'child: kept '
    assert sorted(by_parent.split()) == ['kept', 'slow']


def told_by(folder: Path, code: str) -> str:
    """Run a program; return what it told."""
    preamble = '''
import os, sys, threading
from psij_ext.runtime.leftovers import Leftovers

class Owner:
    pass

def tell(word):
    with open(sys.argv[1], 'a') as told:
        told.write(word + ' ')

class Telling:
    def __init__(self, word):
        self.word = word
    def close(self):
        tell(self.word)
'''
    told = folder / 'told'
    done = subprocess.run([sys.executable, '-W', 'error', '-W', 'ignore::DeprecationWarning', '-c', preamble + code, told],
                          capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    return told.read_text()
