from __future__ import annotations

import logging
import threading

import pytest

from psij_ext.runtime.callbacks import CallbackThread


def test_calls_come_in_order_on_one_other_thread() -> None:
    thread = CallbackThread('callbacks')
    calls: list[tuple[int, str]] = []
    for number in range(1000):
        thread.call(lambda number=number: calls.append((number, threading.current_thread().name)))
    thread.close()
    assert calls == [(number, 'callbacks') for number in range(1000)]


def test_there_is_no_thread_before_the_first_call_nor_after_the_end() -> None:
    thread = CallbackThread('psij-ext test callbacks')
    assert not running('psij-ext test callbacks')
    thread.call(lambda: None)
    assert running('psij-ext test callbacks')
    thread.close()
    thread.close()
    assert not running('psij-ext test callbacks')


def running(name: str) -> bool:
    return any(thread.name == name for thread in threading.enumerate())


def test_closing_waits_for_what_was_given() -> None:
    thread = CallbackThread('callbacks')
    began, go, calls = threading.Event(), threading.Event(), []

    def slow() -> None:
        began.set()
        go.wait(10)
        calls.append('slow')

    thread.call(slow)
    thread.call(lambda: calls.append('last'))
    assert began.wait(10)
    closing = threading.Thread(target=thread.close)
    closing.start()
    assert calls == []
    go.set()
    closing.join(10)
    assert calls == ['slow', 'last']


def test_a_call_after_the_end_still_happens_on_a_thread_that_ends() -> None:
    """Whoever gives it may hold locks, and has other things to do."""
    thread = CallbackThread('psij-ext late callbacks')
    thread.close()
    go, called, calls = threading.Event(), threading.Event(), []
    thread.call(lambda: go.wait(10))
    thread.call(lambda: calls.append(threading.current_thread().name))
    thread.call(called.set)
    assert calls == []
    go.set()
    assert called.wait(10)
    thread.close()
    assert calls == ['psij-ext late callbacks']
    assert not running('psij-ext late callbacks')


def test_what_comes_while_it_closes_keeps_its_place() -> None:
    thread = CallbackThread('psij-ext closing callbacks')
    began, go, calls = threading.Event(), threading.Event(), []
    thread.call(lambda: (began.set(), go.wait(10)))
    thread.call(lambda: calls.append('given'))
    assert began.wait(10)
    closing = threading.Thread(target=thread.close)
    closing.start()
    thread.call(lambda: calls.append('later'))
    go.set()
    closing.join(10)
    thread.close()
    assert calls == ['given', 'later']
    assert not running('psij-ext closing callbacks')


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_slow_callback_is_said_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    thread = CallbackThread('slow callbacks', clock)

    def take(seconds: float) -> None:
        clock.now += seconds

    for seconds in (5, 11, 5):
        thread.call(lambda seconds=seconds: take(seconds))
    thread.close()
    assert [record.getMessage().split(';')[0] for record in caplog.records] == [
        'slow callbacks: a callback has taken 11 s']


def test_a_stuck_callback_is_said_once_as_soon_as_another_waits(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    thread = CallbackThread('stuck callbacks', clock)
    began, go = threading.Event(), threading.Event()
    thread.call(lambda: (began.set(), go.wait(10)))
    assert began.wait(10)
    clock.now = 9.0
    thread.call(lambda: None)
    assert caplog.records == []
    clock.now = 60.0
    thread.call(lambda: None)
    thread.call(lambda: None)
    assert [record.getMessage().split(';')[0] for record in caplog.records] == [
        'stuck callbacks: a callback has taken 60 s']
    go.set()
    thread.close()
    assert len(caplog.records) == 1


def test_a_callback_may_close_its_own_thread() -> None:
    thread = CallbackThread('callbacks')
    closed = threading.Event()

    def close() -> None:
        thread.close()
        closed.set()

    thread.call(close)
    assert closed.wait(10)


@pytest.mark.parametrize('error', [ValueError('bad'), SystemExit(3), KeyboardInterrupt()])
def test_a_callback_that_fails_keeps_no_other_from_being_called(
        error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    thread = CallbackThread('callbacks')
    calls: list[str] = []

    def fail() -> None:
        raise error

    with caplog.at_level(logging.ERROR):
        thread.call(fail)
        thread.call(lambda: calls.append('next'))
        thread.close()
    assert calls == ['next']
    assert type(error).__name__ in caplog.text
