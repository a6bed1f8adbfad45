"""Fixtures that the whole suite shares: a client on a fresh table, simulated or (``IPVSNL_TEST_TARGET=kernel``) real."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ipvsnl.client import IPVS
from ipvsnl.link.kernel import KernelLink

ON_THE_KERNEL = os.environ.get("IPVSNL_TEST_TARGET") == "kernel"
CLONE_NEWNET = 0x40000000
BUFFER = 212992
"""Bytes of a netlink socket's send buffer, as the kernel has it."""
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
PATIENCE = 60
"""Seconds until a test that hangs is ended."""
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background; the programs that tests interrupt inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure() -> None:
    """How fast a machine is decides nothing: no property test has a deadline. (Benchmarks import this file, too, and
    hypothesis would weigh on every process that they fork.)"""
    from hypothesis import HealthCheck, settings

    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")


def enter_fresh_namespace() -> None:
    """Move this process to a new network namespace with lo up: a clean IPVS table in milliseconds.

    The one it leaves is emptied: services that die later, with their namespace, disturb the dumps of others.
    """
    with IPVS(KernelLink()) as left:
        left.flush()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


@pytest.fixture
def connect() -> Iterator[Callable[[], IPVS]]:
    """Opens clients, all of them on one fresh table; they are closed at the test's end."""
    with ExitStack() as opened:
        if ON_THE_KERNEL:
            enter_fresh_namespace()
            yield lambda: opened.enter_context(IPVS(KernelLink()))
        else:
            from ipvssim import Kernel
            from ipvssim.net.networks import default_network

            kernel = Kernel(network=default_network())
            yield lambda: opened.enter_context(kernel.connect(sndbuf=BUFFER))


@pytest.fixture
def ipvs(connect: Callable[[], IPVS]) -> IPVS:
    """A client on a fresh table."""
    return connect()


@pytest.fixture
def watchdog() -> Iterator[None]:
    """Ends a test that hangs, so that it fails and the run goes on. How fast a test is decides nothing."""

    def bark(*_: object) -> None:
        pytest.fail(f"it hung for {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, bark)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
