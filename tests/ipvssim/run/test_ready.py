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
_AGAIN = """
import errno, os
def family(number, flags=5):
    return struct.pack("=IHHIIBBHHH8s", 32, 16, flags, number, 0, 3, 1, 0, 11, 2, b"nlctrl")
def made(port=0, kind=socket.SOCK_RAW):
    one = socket.socket(16, kind, 16)
    if port:
        one.bind((port, 0))
    return one
def answers(one, most=9):
    found = []
    while select.select([one], [], [], 0)[0] and len(found) < most:
        data = one.recv(9000)
        found.append((struct.unpack_from("=HHII", data, 4), data[16:20].hex() if data[4] == 2 else ""))
    return found
def attempt(call, *words):
    try:
        return call(*words)
    except OSError as wrong:
        return errno.errorcode[wrong.errno]
port = 0x50000000 | os.getpid() << 4
for again in range(4):
    one = made(port)
    print(attempt(made, port), one.getsockname() == (port, 0))
    one.send(family(again))
    print([(*rest[:3], rest[3] == port, error) for rest, error in answers(one, again)])
    two = made(port + 1)
    two.send(family(7, 1) if again == 2 else request(again))
    print(attempt(two.bind, (port, 0)), len(answers(two, 1)))
    copy = two.dup() if again == 1 else None
    one.close(); two.close()
    if copy:
        print(attempt(made, port + 1), copy.getsockname() == (port + 1, 0))
        copy.close()
one, two = made(port), made(kind=socket.SOCK_DGRAM)
one.close()
two.bind((port, 0))
three = made()
print(attempt(three.bind, (port, 0)))
two.close()
three.send(family(3))
three.sendto(family(4), (0, 0))
print(attempt(three.sendto, family(5), (77, 0)), [rest[:3] for rest, _ in answers(three)])
three.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
three.send(family(6))
print([rest[:3] for rest, _ in answers(three, 1)])
child = os.fork()
if child == 0:
    three.send(family(8))
    os._exit(0)
os.waitpid(child, 0)
print(readable(three))
fresh = made()
print(fresh.getsockname(), readable(fresh), attempt(fresh.recv, 9, socket.MSG_DONTWAIT))
print(fresh.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
for number in range(70):
    many = [made() for _ in range(number)]
many[5].send(family(9))
print([rest[:3] for rest, _ in answers(many[5])], many[6].getsockname())
"""
"""Sockets that come and go, under the same names and others, with answers that nobody took, copied, and in numbers."""
_FORCED = """
for name, forced in ((socket.SO_RCVBUF, 33), (socket.SO_SNDBUF, 32)):
    for size in (70000, 70000, 9000):
        one.setsockopt(socket.SOL_SOCKET, name, 70000)
        one.send(request(1))
        one.setsockopt(socket.SOL_SOCKET, forced, size)
        print(one.getsockopt(socket.SOL_SOCKET, name))
        one.setsockopt(socket.SOL_SOCKET, name, 70000)
        print(one.getsockopt(socket.SOL_SOCKET, name))
"""
"""Sizes that root alone may choose, and others after them."""
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
    "program",
    [_MANY, _BUFFERS, _AGAIN, _SEVERAL, _INTERRUPTED],
    ids=["many", "buffers", "again", "several", "interrupted"],
)
def test_readers_get_what_they_get_of_the_real_kernel(program: str, way: str) -> None:
    """More datagrams than lie ready, datagrams larger than the place for them, peeks, names, sizes of buffers, several in
    one call, sockets that come and go, readers that are interrupted: a program on the machine's own kernel and on ours
    prints the same."""
    here = subprocess.run([sys.executable, "-c", _WORDS + program], capture_output=True, text=True)
    assert here.returncode == 0, here.stderr
    there = run(sys.executable, "-c", _WORDS + program, way=way)
    told = here.stdout.replace(
        "EPERM [", "ECONNREFUSED ["
    )  # who is no root may not send to others; below run everybody is
    assert (there.stdout.splitlines(), there.stderr) == (told.splitlines(), "")


@needs()
@pytest.mark.parametrize("way", WAYS)
def test_sizes_of_buffers_that_are_forced(way: str) -> None:
    """As root's, whoever runs it: twice what is asked for, until another is chosen."""
    found = run(sys.executable, "-c", _WORDS + _FORCED, way=way)
    sizes = [size for forced in ("140000", "140000", "18000") for size in (forced, "140000")]
    assert (found.stdout.split(), found.stderr) == (sizes * 2, "")
