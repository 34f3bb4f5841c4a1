from __future__ import annotations

import os
import subprocess
import sys

from psij_ext.runtime import processes


def test_a_process_is_known_by_its_start() -> None:
    own = processes.start_time(os.getpid())
    assert own is not None
    assert own > 0
    assert processes.start_time(os.getpid()) == own


def test_no_process_has_no_start() -> None:
    child = subprocess.Popen([sys.executable, '-c', ''])
    assert child.wait() == 0
    assert processes.start_time(child.pid) is None


def test_a_zombie_does_not_run() -> None:
    child = subprocess.Popen(['true'])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert processes.start_time(child.pid) is None
    child.wait()


def test_a_name_with_blanks_and_parentheses_is_no_trouble() -> None:
    # `comm` can be set to anything through /proc.
    code = 'open("/proc/self/comm", "w").write("a) Z 1 (b"); print("ready", flush=True); input()'
    with subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == 'ready\n'
        start = processes.start_time(child.pid)
        assert start is not None
        assert start >= (processes.start_time(os.getpid()) or 0)
        child.communicate('\n')


def test_the_members_of_a_session_are_found_in_whatever_group() -> None:
    script = 'set -m; sleep 100 & sh -c "sleep 100 & echo ready; wait" & wait'
    with subprocess.Popen(['/bin/bash', '-c', script], stdout=subprocess.PIPE, text=True, start_new_session=True) as leader:
        assert leader.stdout is not None
        assert leader.stdout.readline() == 'ready\n'
        members = processes.in_session(leader.pid)
        assert leader.pid in members
        assert len(members) == 4
        for pid in members:
            os.kill(pid, 9)


def test_the_boot_has_a_name_and_the_user_too() -> None:
    assert processes.boot_id()
    assert processes.user_name()
