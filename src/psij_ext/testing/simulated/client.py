"""The program behind every simulated command: it hands its call to the server and prints the answer.

Run as ``python -I -S client.py FOLDER PROGRAM [ARGUMENT ...]`` by the launcher files in a simulation's ``bin`` folder.
All knowledge of a scheduler is in the server, and next to nothing is imported, so that a command costs little more than
a start of Python.

Command and server talk in frames of byte strings over a Unix socket: the length of the frame's body in ten digits, then
each part as ``<length>:<bytes>``. A call is one frame: program, folder, user, count of arguments, arguments,
environment. The answers are ``input`` (the command sends a frame with its standard input), ``print`` and ``exit``.
"""

from __future__ import annotations

import _socket  # the public module costs twice the start of Python
import os
import sys

HEADER = 10
CHUNK = 1 << 16


def pack(parts: list[bytes]) -> bytes:
    """Write byte strings as one frame."""
    body = b''.join(b'%d:%b' % (len(part), part) for part in parts)
    return b'%010d' % len(body) + body


def unpack(data: bytes) -> tuple[list[bytes], bytes] | None:
    """Read the first frame of what has arrived; returns its parts and the rest, or None where more must come."""
    if len(data) < HEADER or len(data) < HEADER + int(data[:HEADER]):
        return None
    end = HEADER + int(data[:HEADER])
    parts, position = [], HEADER
    while position < end:
        colon = data.index(b':', position)
        stop = colon + 1 + int(data[position:colon])
        parts.append(data[colon + 1 : stop])
        position = stop
    return parts, data[end:]


def read_all(descriptor: int) -> bytes:
    """Read a descriptor to its end; one that is closed reads as empty."""
    chunks = []
    try:
        while True:
            chunk = os.read(descriptor, CHUNK)
            if not chunk:
                break
            chunks.append(chunk)
    except OSError:
        pass
    return b''.join(chunks)


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything; a reader who went away is no reason to fail."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        pass


def current_folder() -> bytes:
    """Return the current folder, or nothing where it was deleted."""
    try:
        return os.getcwdb()  # noqa: PTH109  pathlib takes longer to import than all the rest
    except OSError:
        return b''


def talk(connection: _socket.socket, request: bytes) -> int:
    """Send the call and do what the server says until it gives the exit code."""
    connection.sendall(request)
    received = b''
    while True:
        frame = unpack(received)
        if frame is None:
            chunk = connection.recv(CHUNK)
            if not chunk:
                raise OSError
            received += chunk
            continue
        parts, received = frame
        if parts[0] == b'input':
            connection.sendall(pack([read_all(0)]))
        else:
            write_all(1, parts[1])
            write_all(2, parts[2])
            if parts[0] == b'exit':
                return int(parts[3])


def main() -> int:
    """Carry one command to the server and back; returns the exit code."""
    folder, program = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2])
    arguments = [os.fsencode(argument) for argument in sys.argv[3:]]
    environment = [b'%b=%b' % item for item in os.environb.items()]
    head = [program, current_folder(), b'%d' % os.getuid(), b'%d' % len(arguments)]
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        os.chdir(folder)  # a socket's path may have no more than 107 bytes, so it is named from its own folder
        connection.connect('socket')
        return talk(connection, pack(head + arguments + environment))
    except OSError:
        write_all(2, b'Connection refused\n%b: no simulated server at %b\n' % (program.rpartition(b'/')[2], folder))
        return 162
    finally:
        connection.close()


if __name__ == '__main__':
    sys.exit(main())
