"""Signals of programs that wait for a datagram, or are at the midst of a call that is held."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.ipvssim.run.programs import RUN, WAYS, needs, run

_WORDS = """
import os, signal, socket, struct, sys, threading, time
def request(number):
    return struct.pack("=IHHIIBBH", 20, 16, 5, number, 0, 99, 1, 0)
def number_of(data):
    return struct.unpack_from("=I", data, 8)[0]
one = socket.socket(16, 3, 16)
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
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def received(flags=0):
    ctypes.set_errno(0)
    return libc.recv(one.fileno(), ctypes.create_string_buffer(100), 100, flags), ctypes.get_errno()
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


@needs()
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "program", [_HANDLED, _RAISED, _BELOW, _THREADS], ids=["handled", "raised", "below", "threads"]
)
def test_who_waits_handles_signals_as_with_the_real_kernel(program: str, way: str) -> None:
    """Handlers that return, raise, restart the call; timeouts; blocked signals; threads: as on the machine's own kernel."""
    here = subprocess.run([sys.executable, "-c", _WORDS + program], capture_output=True, text=True, timeout=60)
    assert here.returncode == 0, here.stderr
    there = run(sys.executable, "-c", _WORDS + program, way=way)
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
    subprocess.run(["kill", "-STOP", str(process)], check=True)
    end = time.monotonic() + 10
    while state() != "T":
        assert time.monotonic() < end
        time.sleep(0.01)
    subprocess.run(["kill", "-CONT", str(process)], check=True)
    assert (program.communicate(timeout=30)[0], program.returncode) == ("5\n", 0)
