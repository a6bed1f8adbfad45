"""Signals of programs that wait for a datagram, or are at the midst of a call that is held."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

from ipvssim import Kernel
from tests.ipvssim.run.programs import RUN, WAYS, needs, run

_WORDS = """
import ctypes, os, signal, socket, struct, sys, threading, time
def request(number):
    return struct.pack("=IHHIIBBH", 20, 16, 5, number, 0, 99, 1, 0)
def number_of(data):
    return struct.unpack_from("=I", data, 8)[0]
one = socket.socket(16, 3, 16)
libc = ctypes.CDLL(None, use_errno=True)
def received():
    ctypes.set_errno(0)
    return libc.recv(one.fileno(), ctypes.create_string_buffer(100), 100, 0), ctypes.get_errno()
def later(what, after=0.3):
    threading.Timer(after, what).start()
def alarm(handler, *, restarts=False):
    signal.signal(signal.SIGALRM, handler)
    signal.siginterrupt(signal.SIGALRM, not restarts)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
"""
_HANDLED = """
alarm(lambda *_: one.send(request(7)))
print(number_of(one.recv(100)))
"""
"""The handler sends what the call waits for: it gets it when it is repeated."""
_RAISED = """
def handler(*_):
    raise KeyError
for again in range(3):
    alarm(handler)
    try:
        one.recv(100)
    except KeyError:
        print("raised", again)
one.send(request(9))
print(number_of(one.recv(100)))
"""
_BELOW = """
alarm(lambda *_: None)
print(received())
alarm(lambda *_: None, restarts=True)
later(lambda: one.send(request(5)), 0.3)
print(received())
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@qq", 5, 0))
alarm(lambda *_: None, restarts=True)
print(received())
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@qq", 0, 300000))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
alarm(lambda *_: None)
print(received())
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
"""
"""What the C library says: EINTR; a datagram, where the call is repeated; EINTR for one that has a timeout; EAGAIN where the
signal is blocked."""
_THREADS = """
found = []
def wait():
    found.append(number_of(one.recv(100)))
waiting = [threading.Thread(target=wait) for _ in range(3)]
for each in waiting:
    each.start()
handled = []
signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
for _ in range(20):
    time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGUSR1)
for each in waiting:
    signal.pthread_kill(each.ident, signal.SIGUSR1)
time.sleep(0.1)
for number in range(3):
    one.send(request(number))
for each in waiting:
    each.join()
print(sorted(found), len(handled) > 10)
"""
"""Signals for the process and for each thread: those who wait, wait on."""
_CHILD = """
signal.signal(signal.SIGCHLD, lambda *_: None)
signal.siginterrupt(signal.SIGCHLD, False)
if os.fork() == 0:
    time.sleep(0.2)
    os._exit(0)
later(lambda: one.send(request(5)), 0.6)
print(received())
"""
"""A child of the first thread ends, in a process of two threads: the call is repeated."""
_BLOCKED = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
def wait():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    for restarts in (True, False):
        alarm_at(restarts)
        print(received())
def alarm_at(restarts):
    signal.siginterrupt(signal.SIGALRM, not restarts)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    if restarts:
        later(lambda: one.send(request(5)), 0.4)
signal.signal(signal.SIGALRM, lambda *_: None)
waiting = threading.Thread(target=wait)
waiting.start()
waiting.join()
"""
"""The first thread blocks the signal, so that it comes to the one that waits."""
_BUSY = """
signal.signal(signal.SIGPROF, lambda *_: None)
signal.siginterrupt(signal.SIGPROF, False)
until = time.monotonic() + 1
def work():
    while time.monotonic() < until:
        pass
    one.send(request(5))
threading.Thread(target=work).start()
signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
print(received())
signal.setitimer(signal.ITIMER_PROF, 0)
"""
"""Signals that are another thread's, which works: the one that waits gets its datagram, and no errno."""
_EXECUTED = """
after = "import socket; one = socket.socket(16, 3, 16); one.send(bytes.fromhex(%r)); print(len(one.recv(100)))"
later(lambda: os.execv(sys.executable, [sys.executable, "-c", after % request(7).hex()]))
one.recv(100)
"""
"""A thread becomes another program while the first one waits."""
_FORKED = """
def wait():
    print(number_of(one.recv(100)), flush=True)
waiting = threading.Thread(target=wait)
waiting.start()
time.sleep(0.2)
child = os.fork()
if child == 0:
    one.send(request(5))
    os._exit(0)
waiting.join()
os.waitpid(child, 0)
one.send(request(6))
wait()
"""
"""A child that was made while a thread waits asks for what the thread gets."""


@needs()
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "program",
    [_HANDLED, _RAISED, _BELOW, _THREADS, _CHILD, _BLOCKED, _BUSY, _EXECUTED, _FORKED],
    ids=["handled", "raised", "below", "threads", "child", "blocked", "busy", "executed", "forked"],
)
def test_who_waits_handles_signals_as_with_the_real_kernel(program: str, way: str) -> None:
    """Handlers that return, raise, restart the call; timeouts; blocked signals; threads that wait, work, become another
    program: as on the machine's own kernel."""
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _WORDS + program]  # of a fork beside a thread
    here = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert here.returncode == 0, here.stderr
    there = run(*words, way=way)
    assert (there.stdout, there.stderr) == (here.stdout, "")


@needs()
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGABRT, signal.SIGKILL])
def test_a_signal_ends_who_waits(number: int) -> None:
    """Whether it leaves a memory image (SIGQUIT, SIGABRT) or does not: the program ends by it, at once."""
    told = f"""import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
signal.signal({int(number)}, signal.SIG_DFL) if {int(number)} != 9 else None
later(lambda: os.kill(os.getpid(), {int(number)}))
one.recv(100)"""
    done = run(sys.executable, "-c", _WORDS + told)
    assert done.returncode in (-number, 128 + number), done.stderr


@needs()
def test_who_waits_stops_and_goes_on() -> None:
    """SIGSTOP stops a program that waits, SIGCONT lets it go on, and it gets what it waited for."""
    told = """
later(lambda: one.send(request(5)), 1.5)
print(os.getpid(), flush=True)
print(number_of(one.recv(100)))"""
    program = subprocess.Popen([*RUN, "--", sys.executable, "-c", _WORDS + told], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    process = int(program.stdout.readline())

    def state() -> str:
        with open(f"/proc/{process}/stat") as line:
            return line.read().rpartition(")")[2].split()[0]

    time.sleep(0.3)
    os.kill(process, signal.SIGSTOP)
    end = time.monotonic() + 10
    while state() != "T":
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(process, signal.SIGCONT)
    assert (program.communicate(timeout=30)[0], program.returncode) == ("5\n", 0)


@needs()
def test_who_is_killed_while_it_waits_is_forgotten() -> None:
    """Its timeout would have come later: nobody answers a call that is gone, and the other programs go on."""
    told = (
        'one.setsockopt(1, socket.SO_RCVTIMEO, struct.pack("@qq", 0, 500000)); print("waits", flush=True); one.recv(9)'
    )
    with closing(Kernel().programs) as programs:
        waits = programs.start([sys.executable, "-c", _WORDS + told])
        waits.until(lambda: waits.stdout != "")
        waits.go_on(0.1)
        waits.signal(signal.SIGKILL)
        assert waits.wait().status == -signal.SIGKILL
        assert programs(["sleep", "0.8"]).status == 0


_MADE = """import socket
print("begun", flush=True)
for _ in range(2000):
    with socket.socket(16, 3, 16) as one:
        assert one.fileno() > 2, one
"""


@needs()
@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_is_stopped_hands_over_every_socket(way: str) -> None:
    """Whatever moment it is stopped at: no call returns 0 instead of the new descriptor."""
    with subprocess.Popen(
        [*RUN, "--", sys.executable, "-c", _MADE], env={**os.environ, "IPVSSIM_HELD": way}, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout is not None and started.stdout.readline() == b"begun\n"
        while started.poll() is None:
            started.send_signal(signal.SIGSTOP)
            started.send_signal(signal.SIGCONT)
            time.sleep(random.random() / 2000)
    assert started.returncode == 0
