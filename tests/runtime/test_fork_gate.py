from __future__ import annotations

from indexed import run

PREAMBLE = '''
import os, sys, threading
from psij_ext.runtime.forking import ForkGate

def exit_code_of_child(function):
    pid = os.fork()
    if pid == 0:
        os._exit(function())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def stay(gate, entered, leave):
    with gate:
        entered.set()
        leave.wait(30)

def visit(gate):
    with gate:
        return 0
'''


def test_a_fork_waits_for_who_is_inside() -> None:
    run(PREAMBLE + '''
gate, entered, leave = ForkGate(30.0), threading.Event(), threading.Event()
thread = threading.Thread(target=stay, args=(gate, entered, leave))
thread.start()
entered.wait()
threading.Timer(0.2, leave.set).start()
assert exit_code_of_child(lambda: int(not leave.is_set()) or int(gate.was_cut) or visit(gate)) == 0
thread.join()
assert visit(gate) == 0 and not gate.was_cut
''')


def test_a_fork_does_not_wait_for_ever_and_the_child_knows() -> None:
    run(PREAMBLE + '''
gate, entered, leave = ForkGate(0.05), threading.Event(), threading.Event()
thread = threading.Thread(target=stay, args=(gate, entered, leave))
thread.start()
entered.wait()
assert exit_code_of_child(lambda: int(not gate.was_cut) or visit(gate)) == 0
assert not gate.was_cut
leave.set()
thread.join()
assert visit(gate) == 0
assert exit_code_of_child(lambda: int(gate.was_cut)) == 0
''')


def test_threads_that_fork_at_a_time_take_turns() -> None:
    run(PREAMBLE + '''
gate, codes = ForkGate(30.0), []
visit(gate)
def fork_often():
    for _ in range(20):
        codes.append(exit_code_of_child(lambda: int(gate.was_cut) or visit(gate)))
threads = [threading.Thread(target=fork_often) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert codes == [0] * 80
visit(gate)
''')


def test_nobody_waits_for_ever_to_enter() -> None:
    assert run(PREAMBLE + '''
gate, entered, leave = ForkGate(0.05), threading.Event(), threading.Event()
thread = threading.Thread(target=stay, args=(gate, entered, leave))
thread.start()
entered.wait()
try:
    visit(gate)
except TimeoutError:
    print('told')
leave.set()
thread.join()
''') == 'told\n'
