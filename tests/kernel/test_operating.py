"""Operating the real kernel's tables: connections that outlive edits, other network namespaces, less than full privilege."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from ipvsnl.client import IPVS
from ipvsnl.client import open as open_ipvs
from ipvsnl.errors import LinkError
from ipvsnl.link.kernel import KernelLink
from ipvsnl.model import Destination, Service
from tests.conftest import enter_fresh_namespace
from tests.ipvsnl.random_tables import ANCHOR, ANCHORED, Tables, meaning, tables

pytestmark = pytest.mark.kernel
PAIRS = int(os.environ.get("IPVSNL_PAIRS", "40"))
IPVSNL = Path(sys.executable).with_name("ipvsnl")
WEB = Service("tcp", "192.0.2.1", 80, scheduler="rr")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


# --- live connections ---


def echo(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(100):
            connection.sendall(data)


@pytest.fixture
def connected() -> Iterator[tuple[IPVS, socket.socket]]:
    """A TCP connection of this host's to the anchor's service, which a server on this host answers."""
    enter_fresh_namespace()
    ip("addr", "add", f"{ANCHORED.address}/32", "dev", "lo")
    ip("addr", "add", f"{ANCHOR.address}/32", "dev", "lo")
    with open_ipvs() as ipvs, socket.create_server(ANCHORED.key) as listener:
        ipvs.add_service(ANCHOR.replace(scheduler="rr"))
        ipvs.add_server(ANCHOR, ANCHORED)
        threading.Thread(target=echo, args=(listener,), daemon=True).start()
        with socket.create_connection((ANCHOR.address, ANCHOR.port), timeout=10) as client:
            yield ipvs, client


def alive(client: socket.socket) -> bool:
    client.sendall(b"still there?")
    return client.recv(100) == b"still there?"


def test_a_live_connection_outlives_every_plan(connected: tuple[IPVS, socket.socket]) -> None:
    """Random tables one after the other, all with the service and server of one TCP connection, edited in every field:
    each becomes what was wanted, nothing is left to plan, the connection answers, and the kernel still counts it."""
    ipvs, client = connected
    assert alive(client)

    @settings(max_examples=PAIRS, deadline=None, suppress_health_check=list(HealthCheck))
    @given(tables(anchored=True))
    def becomes(table: Tables) -> None:
        ipvs.apply(ipvs.plan(table, prune=True))
        assert meaning(ipvs.snapshot()) == meaning(table)
        assert not ipvs.plan(table, prune=True)
        assert alive(client)
        assert ipvs.server(ANCHOR, ANCHORED).active == 1

    becomes()
    found = list(ipvs.connections(service=ANCHOR, server=ANCHORED, state="ESTABLISHED"))
    assert [one.client_port for one in found] == [client.getsockname()[1]] * len(found) and found


def test_a_rollback_revives_the_server_with_its_connections(connected: tuple[IPVS, socket.socket]) -> None:
    """A server that was deleted and is rolled back comes out of the kernel's trash: its connection goes on, and counts."""
    from ipvsnl.tables.failures import ApplyError
    from tests.ipvsnl.tables.test_apply import Refusing

    ipvs, client = connected
    other = Service("tcp", "192.0.2.1", 81, scheduler="rr")
    ipvs.add_service(other)
    plan = ipvs.plan({ANCHOR.replace(scheduler="rr"): [Destination("10.9.9.8", 80, "masq")]}, prune=True)
    assert [one.kind for one in plan.operations] == ["add-server", "delete-server", "delete-service"]
    ipvs._conversation.link = Refusing(ipvs._conversation.link, 2)  # type: ignore[assignment]
    with pytest.raises(ApplyError) as failed:
        ipvs.apply(plan)
    assert failed.value.rolled_back
    assert alive(client) and ipvs.server(ANCHOR, ANCHORED).active == 1


def test_draining_waits_for_a_live_connection(connected: tuple[IPVS, socket.socket]) -> None:
    """A server that goes keeps its connection for the seconds that it was given, at weight 0, and then goes."""
    ipvs, client = connected
    seen: list[int] = []

    from ipvsnl.tables.apply import apply

    def watch(_: str) -> None:
        seen.append(ipvs.server(ANCHOR, ANCHORED).destination.weight)
        assert alive(client)

    apply(ipvs, ipvs.plan({}, prune=True, drain=0.5), watch=watch)
    assert seen and set(seen) == {0} and not ipvs.services()


# --- network namespaces ---


@pytest.fixture
def blue() -> Iterator[str]:
    """A named network namespace with lo up."""
    enter_fresh_namespace()
    ip("netns", "add", "blue")
    ip("-n", "blue", "link", "set", "lo", "up")
    yield "blue"
    ip("netns", "del", "blue")


def here() -> str:
    return os.readlink("/proc/thread-self/ns/net")


@pytest.mark.parametrize("named", ["{}", "/run/netns/{}"])
def test_a_table_of_another_namespace(blue: str, named: str) -> None:
    """By name or path: the other namespace's table is worked on, this one's is not, and the thread is where it was."""
    before = here()
    with IPVS(netns=named.format(blue)) as there, open_ipvs() as ours:
        there.add_service(WEB)
        there.add_server(WEB, Destination("10.0.0.1", 80, "masq"))
        assert here() == before
        assert [status.service for status in there.services()] == [WEB] and ours.services() == []
        assert len(there.plain()[1]) == 1 and ours.plain()[1] == []
        assert list(there.connections()) == []
        assert there.place != ours.place and ours.place.startswith("kernel-")
    done = subprocess.run([IPVSNL, "--netns", named.format(blue), "-Sn"], capture_output=True, text=True)
    assert "192.0.2.1:80" in done.stdout and done.stderr == ""
    assert here() == before


def test_the_thread_is_in_its_namespace_whatever_happens(blue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No such name, no namespace at all, and a socket that can't be opened: the calling thread has not moved."""
    before = here()
    for name in ("red", "/proc/self/exe", "/proc/self/ns/uts", "/"):
        with pytest.raises(LinkError):
            open_ipvs(netns=name)
        assert here() == before

    def broken(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("_socket.socket", broken)
    with pytest.raises(LinkError, match="Too many open files"):
        open_ipvs(netns=blue)
    assert here() == before
    monkeypatch.undo()
    handles = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        open_ipvs(netns=blue).close()
    assert len(os.listdir("/proc/self/fd")) == handles


# --- less than full privilege ---


def in_a_user_namespace(*arguments: str) -> tuple[int, str, str]:
    """``ipvsnl ARGUMENTS`` as root of a user namespace of its own, in this network namespace."""
    done = subprocess.run(["unshare", "-r", str(IPVSNL), *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def full() -> Iterator[IPVS]:
    """A table of every kind of rule."""
    enter_fresh_namespace()
    with IPVS(KernelLink()) as ipvs:
        six = Service("tcp", "2001:db8::1", 443, scheduler="mh", persistence=300, netmask=64)
        four = Service("tcp", "192.0.2.1", 443, scheduler="sh", flags=8, persistence=60, netmask="255.255.255.0")
        for service in (
            WEB,
            six,
            four,
            Service(fwmark=7, scheduler="wlc"),
            Service("udp", "192.0.2.1", 53, one_packet=True),
        ):
            ipvs.add_service(service)
        ipvs.add_server(WEB, Destination("10.0.0.1", 8080, "masq", 7, upper_threshold=9))
        ipvs.add_server(six, Destination("fd00::1", 443, "tunnel"))
        yield ipvs


def test_a_plain_listing_needs_less_privilege_and_says_what_is_missing(full: IPVS) -> None:
    """Root of a user namespace gets the listing from /proc/net/ip_vs, and is told what that does not tell."""
    status, shown, said = in_a_user_namespace("-L", "-n")
    whole = subprocess.run([IPVSNL, "-L", "-n"], capture_output=True, text=True).stdout
    assert (
        status == 0 and "CAP_NET_ADMIN in the initial user namespace" in said and "Not known: scheduler flags" in said
    )
    known = whole.replace(" (sh-fallback)", "").replace("persistent 60 ", "persistent ? ")
    assert shown == known.replace("persistent 300 ", "persistent ? ")


def test_json_marks_what_is_not_known(full: IPVS) -> None:
    """What the file does not tell is null and named; such a document is no table to aim at."""
    status, shown, _ = in_a_user_namespace("-L", "-n", "--json")
    found = json.loads(shown)
    assert status == 0 and "services[].servers[].upper_threshold" in found["unknown"]
    web = next(one for one in found["services"] if one.get("port") == 80)
    (server,) = web["servers"]
    assert (web["flags"], web["statistics"], server["upper_threshold"], server["tunnel"]) == (None,) * 4
    assert (server["address"], server["port"], server["weight"], server["forwarding"]) == ("10.0.0.1", 8080, 7, "masq")
    done = subprocess.run([IPVSNL, "plan", "-"], input=shown, capture_output=True, text=True)
    assert done.returncode == 1 and "does not know everything" in done.stderr


@pytest.mark.parametrize("arguments", ["-L -n --stats", "-L -n --thresholds", "-S -n", "-A -f 9", "-L --timeout"])
def test_what_the_file_does_not_tell_is_refused(full: IPVS, arguments: str) -> None:
    """Nothing is made up: status 2, ipvsadm's words, and why."""
    status, shown, said = in_a_user_namespace(*arguments.split())
    assert (status, shown) == (2, "") and said.startswith("Can't initialize ipvs: Permission denied (you must be root)")
    assert "CAP_NET_ADMIN in the initial user namespace" in said
