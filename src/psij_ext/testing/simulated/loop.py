"""The event loop of a simulated scheduler: calls of commands, timers, ends of processes, switches of the test."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING, Any, Callable

from .client import CHUNK, pack, unpack

if TYPE_CHECKING:
    from resource import struct_rusage


class Timer:
    """Something to be done later; `cancel` forgets it."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Call:
    """One command that waits for its answer. Texts are bytes read as Latin-1, so that every byte survives."""

    def __init__(self, loop: Loop, connection: socket.socket, parts: list[bytes]) -> None:
        self._loop, self._connection = loop, connection
        texts = [part.decode('latin-1') for part in parts]
        self.path, self.folder, self.uid = texts[0], texts[1], int(texts[2])
        self.program = self.path.rpartition('/')[2]
        last = 4 + int(texts[3])
        self.arguments = texts[4:last]
        self.environment = {name: value for name, _, value in (item.partition('=') for item in texts[last:])}

    @property
    def abandoned(self) -> bool:
        """Whether the command went away, killed perhaps by its caller's timeout."""
        try:
            return self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b''
        except BlockingIOError:
            return False
        except OSError:
            return True

    def read_input(self, on_input: Callable[[str], None]) -> None:
        """Make the command send its standard input, and go on when it is here."""
        self._send([b'input'])
        self._loop.read_frame(self._connection, lambda parts: on_input(parts[0].decode('latin-1')))

    def write(self, out: str) -> None:
        """Print something while the command goes on."""
        self._send([b'print', out.encode('latin-1'), b''])

    def finish(self, code: int = 0, out: str = '', error: str = '') -> None:
        """Print the rest and end the command."""
        self._send([b'exit', out.encode('latin-1'), error.encode('latin-1'), b'%d' % (code & 0xFF)])
        self._connection.close()

    def _send(self, parts: list[bytes]) -> None:
        try:
            self._connection.settimeout(10)
            self._connection.sendall(pack(parts))
        except OSError:
            pass  # the command was killed meanwhile; what it asked for happened all the same


class Loop:
    """Waits for whatever happens next and calls who asked for it; one thread, stopped by the end of its input.

    :param on_call: called with every command that arrives
    :param on_switch: called with the name and the arguments of a switch that the test turns; its answer goes back as
        JSON
    """

    def __init__(self, on_call: Callable[[Call], None], on_switch: Callable[[str, dict[str, Any]], Any]) -> None:
        self._on_call, self._on_switch = on_call, on_switch
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._children: dict[int, Callable[[int, struct_rusage], None]] = {}
        self._selector = selectors.DefaultSelector()
        self._running = True

    def after(self, delay: float, action: Callable[[], None]) -> Timer:
        """Do something in `delay` seconds."""
        timer = Timer(action)
        heapq.heappush(self._timers, (time.monotonic() + delay, next(self._count), timer))
        return timer

    def watch(self, pid: int, on_end: Callable[[int, struct_rusage], None]) -> None:
        """Call `on_end` with the wait status and the usage of a child when it ends."""
        self._children[pid] = on_end

    def read_frame(self, connection: socket.socket, on_frame: Callable[[list[bytes]], None]) -> None:
        """Collect one frame from a connection; one that closes first is forgotten."""
        received = bytearray()

        def collect() -> None:
            try:
                chunk = connection.recv(CHUNK)
            except OSError:
                chunk = b''
            received.extend(chunk)
            frame = unpack(bytes(received))
            if frame is None and chunk:
                return
            self._selector.unregister(connection)
            if frame is None:
                connection.close()
            else:
                on_frame(frame[0])

        self._selector.register(connection, selectors.EVENT_READ, collect)

    def run(self) -> None:
        """Serve ``socket`` in the current folder until standard input ends."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind('socket')
        listener.listen(512)
        woken, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        self._selector.register(woken, selectors.EVENT_READ, lambda: self._reap(woken))
        self._selector.register(0, selectors.EVENT_READ, self._switch)
        print('"ready"', flush=True)
        while self._running:
            for key, _ in self._selector.select(self._due()):
                key.data()
            self._fire()

    def _due(self) -> float | None:
        # the kernel refuses to wait for more than 24 days
        return min(3600.0, max(0.0, self._timers[0][0] - time.monotonic())) if self._timers else None

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            timer = heapq.heappop(self._timers)[2]
            if timer.action is not None:
                timer.action()

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self.read_frame(connection, lambda parts: self._on_call(Call(self, connection, parts)))

    def _reap(self, woken: int) -> None:
        os.read(woken, 4096)
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            on_end = self._children.pop(pid, None)
            if on_end is not None:
                on_end(status, usage)

    def _switch(self) -> None:
        line = os.read(0, CHUNK)
        if not line:
            self._running = False
            return
        name, arguments = json.loads(line)
        print(json.dumps(self._on_switch(name, arguments)), flush=True)
