"""What lies ready for readers: they get it without anybody deciding, and as if somebody had (``_held/serve.c``)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.ipvssim.run.programs import WAYS, needs, run

_WORDS = """
import select, signal, socket, struct, sys
def request(number, size=20, command=99):
    return struct.pack("=IHHIIBBH", size, 16, 5, number, 0, command, 1, 0) + bytes(size - 20)
def shown(data):
    return (data[:12] + data[16:]).hex()
def readable(one):
    return bool(select.select([one], [], [], 0)[0])
one = socket.socket(16, 3, 16)
"""
_MANY = """
print(socket.socket.getsockname(one))
one.send(b"".join(request(number, size) for number, size in enumerate((20, 20, 6000, 24, 20, 20, 20, 20, 5000, 20))))
for number in range(10):
    print(readable(one), shown(one.recv(30, socket.MSG_PEEK)), one.recv(30, socket.MSG_PEEK | socket.MSG_TRUNC)[:0])
    if number % 3 == 0:
        print(shown(one.recv(9000)))
    elif number % 3 == 1:
        data, control, flags, name = one.recvmsg(9000)
        print(shown(data), control, flags, name)
    else:
        data, name = one.recvfrom(40)
        print(shown(data), name)
    if number == 4:
        one.send(request(77))
print(readable(one), shown(one.recv(9000)), readable(one))
try:
    one.recv(10, socket.MSG_DONTWAIT)
except OSError as wrong:
    print(wrong.errno)
"""
_BUFFERS = """
for size in (5000, 1, 300000):
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
    print([one.getsockopt(socket.SOL_SOCKET, name) for name in (socket.SO_RCVBUF, socket.SO_SNDBUF)])
    try:
        print(one.send(request(1, 6000)), shown(one.recv(9000)))
    except OSError as wrong:
        print(wrong.errno)
"""
_SEVERAL = """
import ctypes
class Piece(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t)]
class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_size", ctypes.c_uint), ("pieces", ctypes.POINTER(Piece)),
                ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("pad", ctypes.c_int), ("length", ctypes.c_uint)]
def several(most):
    texts = [ctypes.create_string_buffer(100) for _ in range(most)]
    pieces = [Piece(ctypes.addressof(text), 100) for text in texts]
    messages = (Message * most)(*(Message(None, 0, ctypes.pointer(piece), 1) for piece in pieces))
    found = ctypes.CDLL(None).recvmmsg(one.fileno(), messages, most, socket.MSG_DONTWAIT, None)
    return found, [(each.length, shown(text.raw)) for each, text in zip(messages[:max(found, 0)], texts)]
for sent, most in ((2, 4), (3, 2), (6, 5), (1, 1)):
    one.send(b"".join(request(number) for number in range(sent)))
    print(several(most), readable(one))
    try:
        while True:
            print(shown(one.recv(100, socket.MSG_DONTWAIT)))
    except OSError as wrong:
        print(wrong.errno, readable(one))
"""
_INTERRUPTED = """
left = 0
def interrupted(*_):
    global left
    left -= 1
    if left > 0:
        signal.setitimer(signal.ITIMER_REAL, 0.0001)
signal.signal(signal.SIGALRM, interrupted)
found = []
for number in range(600):
    left = 3
    signal.setitimer(signal.ITIMER_REAL, 0.00004 * (number % 25 + 1))
    one.send(request(2 * number) + request(2 * number + 1))
    for _ in range(2):
        found.append(struct.unpack_from("=I", one.recv(100), 8)[0])
signal.setitimer(signal.ITIMER_REAL, 0)
print(found == list(range(1200)), readable(one))
"""
"""Each send and read is interrupted at another moment, three times at most: a slow machine, too, gets to the end."""


@needs()
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "program", [_MANY, _BUFFERS, _SEVERAL, _INTERRUPTED], ids=["many", "buffers", "several", "interrupted"]
)
def test_readers_get_what_they_get_of_the_real_kernel(program: str, way: str) -> None:
    """More datagrams than lie ready, datagrams larger than the place for them, peeks, names, sizes of buffers, several in
    one call, readers that are interrupted: a program on the machine's own kernel and on ours prints the same."""
    here = subprocess.run([sys.executable, "-c", _WORDS + program], capture_output=True, text=True)
    assert here.returncode == 0, here.stderr
    there = run(sys.executable, "-c", _WORDS + program, way=way)
    assert (there.stdout.splitlines(), there.stderr) == (here.stdout.splitlines(), "")
