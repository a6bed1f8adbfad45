"""A client that is closed, in use or another process's: one typed error, and nothing is sent."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from ipvsnl.client import IPVS
from ipvsnl.client import open as open_ipvs
from ipvsnl.errors import LinkError
from ipvsnl.link.unix import UnixLink
from ipvsnl.model import Daemon, Destination, Service, Timeouts
from ipvssim import Kernel
from ipvssim.doors.server import Server
from tests.ipvsnl.peers import PairLink, forked_kernel

WEB = Service("tcp", "192.0.2.1", 80, scheduler="rr")
ONE = Destination("10.0.0.1", 80, "masq")
CALLS: dict[str, Callable[[IPVS], object]] = {
    "add_service": lambda ipvs: ipvs.add_service(WEB),
    "edit_service": lambda ipvs: ipvs.edit_service(WEB, scheduler="wrr"),
    "delete_service": lambda ipvs: ipvs.delete_service(WEB),
    "add_server": lambda ipvs: ipvs.add_server(WEB, ONE),
    "edit_server": lambda ipvs: ipvs.edit_server(WEB, ONE),
    "delete_server": lambda ipvs: ipvs.delete_server(WEB, ONE),
    "flush": lambda ipvs: ipvs.flush(),
    "zero": lambda ipvs: ipvs.zero(),
    "service": lambda ipvs: ipvs.service(WEB),
    "services": lambda ipvs: ipvs.services(),
    "server": lambda ipvs: ipvs.server(WEB, ONE),
    "servers": lambda ipvs: ipvs.servers(WEB),
    "snapshot": lambda ipvs: ipvs.snapshot(),
    "batch": lambda ipvs: ipvs.batch(),
    "load": lambda ipvs: ipvs.load(""),
    "reload": lambda ipvs: ipvs.reload(""),
    "loading": lambda ipvs: ipvs.loading(),
    "timeouts": lambda ipvs: ipvs.timeouts(),
    "set_timeouts": lambda ipvs: ipvs.set_timeouts(Timeouts(1, 1, 1)),
    "info": lambda ipvs: ipvs.info(),
    "daemons": lambda ipvs: ipvs.daemons(),
    "start_daemon": lambda ipvs: ipvs.start_daemon(Daemon("master", "lo")),
    "stop_daemon": lambda ipvs: ipvs.stop_daemon("master"),
    "plan": lambda ipvs: ipvs.plan({WEB: []}),
    "connections": lambda ipvs: list(ipvs.connections()),
    "trash": lambda ipvs: list(ipvs.trash()),
    "plain": lambda ipvs: ipvs.plain(),
    "totals": lambda ipvs: ipvs.totals(),
}
NO_CALLS = {"apply", "close", "interface", "place"}


@pytest.fixture(params=["memory", "file", "unix", "native"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IPVS]:
    """A client with one service, of each kind of link that a simulated kernel has."""
    if request.param == "native":
        with forked_kernel() as link, IPVS(link) as ipvs:
            ipvs.add_service(WEB)
            yield ipvs
        return
    if request.param == "unix":
        server = Server(Kernel(), tmp_path / "socket", now=time.monotonic)
        threading.Thread(target=server.serve, daemon=True).start()
        target = f"unix:{tmp_path / 'socket'}"
    else:
        target = "sim::memory:" if request.param == "memory" else f"sim:{tmp_path / 'table'}"
    with open_ipvs(target) as ipvs:
        ipvs.add_service(WEB)
        yield ipvs


def refused(call: Callable[[], object]) -> LinkError:
    with pytest.raises(LinkError) as wrong:
        call()
    return wrong.value


def test_every_method_is_tried() -> None:
    """A method that is added to the client must be added to the calls here."""
    assert {name for name in dir(IPVS) if not name.startswith("_")} == set(CALLS) | NO_CALLS


def test_a_closed_client_raises(client: IPVS) -> None:
    """After close every method, and every batch and load made before, is LinkError EBADF; to close again is nothing."""
    batch, load, plan = client.batch(), client.loading(), client.plan({WEB.replace(scheduler="wrr"): []})
    pending = client.batch()
    pending.add_server(WEB, ONE)
    client.close()
    client.close()
    later: dict[str, Callable[[], object]] = {
        "apply": lambda: client.apply(plan),
        "a batch": lambda: batch.add_server(WEB, ONE),
        "a pending batch": pending.send,
        "a load": lambda: load.add_server(WEB, ONE),
    }
    calls: dict[str, Callable[[], object]] = {**{name: partial(call, client) for name, call in CALLS.items()}, **later}
    found = {name: refused(call) for name, call in calls.items()}
    assert {name: (wrong.errno, wrong.strerror) for name, wrong in found.items()} == dict.fromkeys(
        calls, (errno.EBADF, "this client is closed")
    )


def test_nothing_is_sent_to_the_descriptor_that_comes_after() -> None:
    """A file that gets the number of a closed client's socket receives nothing."""
    with forked_kernel() as link:
        ipvs = IPVS(link)
        number = link.descriptor
        pending = ipvs.batch()
        pending.add_server(WEB, ONE)
        ipvs.close()
        heirs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3)]
        assert number in [end.fileno() for pair in heirs for end in pair]
        for call in (pending.send, ipvs.flush, ipvs.snapshot):
            refused(call)
        ends = [end for pair in heirs for end in pair]
        for end in ends:
            end.setblocking(False)
            with pytest.raises(BlockingIOError):
                end.recv(1)
        for end in ends:
            end.close()


def test_a_link_that_is_closed_says_so(tmp_path: Path) -> None:
    """Without a client, too: a link's own error is a LinkError with EBADF."""
    server = Server(Kernel(), tmp_path / "socket", now=time.monotonic)
    link = UnixLink(str(tmp_path / "socket"))
    link.close()
    server.close()
    assert refused(lambda: link.send(b"")).errno == errno.EBADF
    assert refused(lambda: link.receive(1)).errno == errno.EBADF


def test_a_handler_cannot_call_into_a_call() -> None:
    """A signal's handler that uses the client it came into is refused; the call that it came into goes on."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    found: list[LinkError] = []
    with ours, kernels:
        ipvs = unanswered(ours, kernels)
        before = signal.signal(signal.SIGALRM, lambda *_: found.append(refused(ipvs.services)))
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            assert refused(ipvs.services).errno == errno.ETIMEDOUT
        finally:
            signal.signal(signal.SIGALRM, before)
    assert [wrong.errno for wrong in found] == [errno.EBUSY]


def unanswered(ours: socket.socket, kernels: socket.socket, *, shared: bool = False) -> IPVS:
    """A client whose kernel names the family, and then falls silent."""
    endpoint = Kernel().socket()

    def answer() -> None:
        endpoint.send(kernels.recv(4096))
        for _ in range(2):
            kernels.send(endpoint.recv(4096))

    thread = threading.Thread(target=answer)
    thread.start()
    ipvs = IPVS(PairLink(ours), timeout=0.3, shared=shared)
    thread.join()
    return ipvs


@pytest.mark.parametrize("shared", [False, True])
def test_two_threads(shared: bool) -> None:
    """A call while another thread's is under way is refused, and so is a close; of a shared client it waits its turn."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, kernels:
        ipvs = unanswered(ours, kernels, shared=shared)
        first = threading.Thread(target=lambda: refused(ipvs.services))
        first.start()
        time.sleep(0.1)
        begun = time.monotonic()
        wrong = refused(ipvs.services)
        took = time.monotonic() - begun
        assert (wrong.errno, took > 0.3) == ((errno.ETIMEDOUT, True) if shared else (errno.EBUSY, False))
        if not shared:
            assert refused(ipvs.close).errno == errno.EBUSY
        first.join()
        ipvs.close()


def test_a_shared_client_serves_many_threads() -> None:
    """Every thread gets the whole answers to its own questions."""
    counts: list[int] = []
    with forked_kernel() as link, IPVS(link, shared=True) as ipvs:
        ipvs.add_service(WEB)
        ipvs.load("".join(f"-a -t 192.0.2.1:80 -r 10.0.0.{n}:80 -m\n" for n in range(1, 200)))
        threads = [
            threading.Thread(target=lambda: counts.extend(len(ipvs.servers(WEB)) for _ in range(20))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts == [199] * 80


def test_a_child_does_not_use_its_parents_client() -> None:
    """After a fork the child's calls are refused, its close does nothing, and the parent's client goes on."""
    with forked_kernel() as link, IPVS(link) as ipvs:
        ipvs.add_service(WEB)
        child = os.fork()
        if not child:
            try:
                alright = all(refused(partial(call, ipvs)).errno == errno.EBADF for call in CALLS.values())
                ipvs.close()
                os._exit(0 if alright else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [status.service for status in ipvs.services()] == [WEB]


def test_a_read_in_the_middle_of_a_batch(ipvs: IPVS) -> None:
    """Other requests between those of a batch or a load change nothing of which refusal is whose."""
    for changes in (ipvs.batch(), ipvs.loading()):
        ipvs.flush()
        changes.add_service(WEB, tag="first")
        ipvs.services()
        changes.add_service(WEB, tag="second")
        ipvs.services()
        changes.send()
        assert [(refusal.tag, refusal.errno) for refusal in changes.refused] == [("second", errno.EEXIST)]
        assert [status.service for status in ipvs.services()] == [WEB]
