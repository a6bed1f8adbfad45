"""A namespace's tunables, daemons and switches."""

from __future__ import annotations

import errno

import pytest

from ipvsnl.model import Service, Timeouts
from ipvsnl.refusals import KernelError
from ipvssim import Kernel
from ipvssim.net.networks import vectors_network
from ipvssim.state.daemons import BACKUP, MASTER, Daemon, Daemons
from ipvssim.state.namespace import Namespace
from ipvssim.state.sysctls import PREFIX, Sysctls


def test_defaults() -> None:
    """The kernel's, as /proc/sys shows them."""
    sysctls = Sysctls()
    shown = {name.removeprefix(PREFIX): sysctls.read(name) for name in sysctls.names()}
    nonzero = {name: value for name, value in shown.items() if value != "0"}
    assert nonzero == {
        "am_droprate": "10", "amemthresh": "1024", "conn_reuse_mode": "1", "pmtu_disc": "1", "run_estimation": "1",
        "snat_reroute": "1", "sync_ports": "1", "sync_version": "1", "sync_threshold": "3\t50",
        "lblc_expiration": "86400", "lblcr_expiration": "86400", "sync_qlen_max": shown["sync_qlen_max"],
    }  # fmt: skip
    assert len(shown) == 30


@pytest.mark.parametrize(
    ("name", "value", "after"),
    [
        ("sloppy_tcp", 1, 1), ("sloppy_tcp", "-5", -5), ("sloppy_tcp", "0x10", 16), ("sloppy_tcp", "010", 8),
        ("sloppy_tcp", " 7 trailing", 7), ("drop_entry", 3, 3), ("sync_threshold", "0 0", (0, 0)),
        ("sync_threshold", "5", (5, 50)), ("sync_ports", 64, 64), ("sync_retries", 3, 3),
        ("amemthresh", "2147483647", 2147483647), ("lblc_expiration", 60, 60), ("sync_ports", 128, 128),
        ("drop_entry", 2, 1),
        ("lblc_expiration", -21474836, -21474836), ("sync_qlen_max", "18446744073709551615", (1 << 64) - 1),
    ],
)  # fmt: skip
def test_accepted_writes(name: str, value: int | str, after: object) -> None:
    """Numbers as the kernel reads them."""
    sysctls = Sysctls()
    sysctls.write(PREFIX + name, value)
    assert getattr(sysctls, name) == after


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sloppy_tcp", "x"), ("sloppy_tcp", "2147483648"), ("drop_entry", 4), ("drop_packet", -1), ("secure_tcp", 4),
        ("sync_version", 2), ("sync_ports", 3), ("sync_ports", 0), ("sync_ports", -4), ("sync_threshold", "5 5"),
        ("sync_threshold", "-1 5"), ("sync_retries", 4), ("lblc_expiration", 21474837),
        ("lblc_expiration", -21474837), ("sync_qlen_max", -1), ("sync_qlen_max", 1 << 64), ("sync_qlen_max", "\n"),
        ("sloppy_tcp", "\n"), ("sloppy_tcp", ""), ("sync_threshold", ""), ("sync_qlen_max", ""), ("sync_ports", ""),
    ],
)  # fmt: skip
def test_refused_writes(name: str, value: int | str) -> None:
    """EINVAL, and the variable keeps its value."""
    sysctls = Sysctls()
    before = sysctls.read(PREFIX + name)
    with pytest.raises(OSError, match="Invalid") as refused:
        sysctls.write(PREFIX + name, value)
    assert refused.value.errno == errno.EINVAL
    assert sysctls.read(PREFIX + name) == before


@pytest.mark.parametrize(("hz", "most"), [(100, 21474836), (250, 8589934), (1000, 2147483)])
def test_times_have_to_fit_into_an_int_of_jiffies(hz: int, most: int) -> None:
    """Of the tunables and, in ``--set``, of connections: the more jiffies a second has, the shorter is the longest time."""
    kernel = Kernel(hz=hz)
    for name in ("sync_refresh_period", "lblc_expiration", "net.netfilter.nf_conntrack_udp_timeout"):
        kernel.sysctl[name] = most
        with pytest.raises(OSError, match="Invalid"):
            kernel.sysctl[name] = most + 1
        assert kernel.sysctl[name] == str(most)
    with kernel.connect() as ipvs:
        ipvs.set_timeouts(Timeouts(tcp=most))
        with pytest.raises(KernelError):
            ipvs.set_timeouts(Timeouts(tcp=most + 1))
        assert ipvs.timeouts().tcp == most


@pytest.mark.parametrize(("hz", "shown"), [(100, 2), (250, 8589936)])
def test_a_services_timeout_is_32_bits_of_jiffies(hz: int, shown: int) -> None:
    """A longer one is cut without a word (``svc->timeout = u->timeout * HZ``)."""
    kernel = Kernel(hz=hz)
    with kernel.connect() as ipvs:
        ipvs.add_service(Service("tcp", "192.0.2.1", 80, persistence=42949675))
        (status,) = ipvs.services()
    assert status.service.persistence == shown


@pytest.mark.parametrize("name", ["net.ipv4.vs.nope", "net.ipv4.ip_forward", "net.ipv4.vs._hooks", "net.ipv4.vs.read"])
def test_unknown_variables(name: str) -> None:
    """ENOENT, for reading and for writing."""
    with pytest.raises(FileNotFoundError):
        Sysctls().write(name, 1)
    with pytest.raises(FileNotFoundError):
        Sysctls().read(name)


def test_what_only_the_initial_namespace_may_write() -> None:
    """debug_level is read-only in any other: EACCES."""
    with pytest.raises(PermissionError) as refused:
        Sysctls().write(PREFIX + "debug_level", 1)
    assert refused.value.errno == errno.EACCES


def test_hooks_run_after_the_write() -> None:
    """run_estimation stops the estimator, and starts it again."""
    namespace = Namespace()
    namespace.sysctls.write("net/ipv4/vs/run_estimation", 0)
    assert namespace.table.estimator.enabled is False
    namespace.sysctls.write("net.ipv4.vs.run_estimation", 1)
    assert namespace.table.estimator.enabled is True


def test_releases() -> None:
    """A namespace has the behaviours of its release."""
    assert Namespace(release="6.1.192").bounds_upper_threshold
    assert not Namespace().bounds_upper_threshold


GROUP6 = bytes.fromhex("ff020000000000000000000000000051")


def daemon(role: int, interface: bytes = b"d0", length: int = 0, group: bytes = b"") -> Daemon:
    return Daemon(role, interface, 0, length, group, 0, 0)


@pytest.mark.parametrize(
    ("wanted", "length"),
    [
        (daemon(MASTER), 1472),
        (daemon(BACKUP), 1472),
        (daemon(MASTER, b"d2"), 1472),
        (daemon(BACKUP, b"d2"), 8972),
        (daemon(BACKUP, b"lo"), 65507),
        (daemon(MASTER, length=1), 1),
        (daemon(BACKUP, length=1), 1024),
        (daemon(MASTER, length=65535), 65507),
        (daemon(MASTER, group=GROUP6), 1452),
        (daemon(BACKUP, length=65535, group=GROUP6), 65487),
    ],
)
def test_message_lengths(wanted: Daemon, length: int) -> None:
    """From the device's MTU where none is asked for, clamped by role and address family of the group otherwise."""
    daemons = Daemons(vectors_network())
    daemons.start(wanted)
    assert daemons.running()[0].max_length == length


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (daemon(MASTER, b"nope"), errno.ENODEV),
        (daemon(7, b"nope"), errno.ENODEV),
        (daemon(7), errno.EINVAL),
        (daemon(MASTER, b"d1"), errno.ENETUNREACH),
        (daemon(MASTER, b"lo", group=GROUP6), errno.ENETUNREACH),
        (daemon(MASTER, b"d2", group=GROUP6), errno.EADDRNOTAVAIL),
    ],
)
def test_daemons_that_cannot_start(wanted: Daemon, error: int) -> None:
    """No device, no role, no way to the group: each has its errno."""
    with pytest.raises(OSError) as refused:
        Daemons(vectors_network()).start(wanted)
    assert refused.value.errno == error


def test_each_role_runs_once() -> None:
    """A second one is EEXIST, stopping one that does not run ESRCH; the master is listed first."""
    daemons = Daemons(vectors_network())
    daemons.start(daemon(BACKUP))
    daemons.start(daemon(MASTER))
    assert [one.role for one in daemons.running()] == [MASTER, BACKUP]
    with pytest.raises(FileExistsError):
        daemons.start(daemon(MASTER))
    daemons.stop(MASTER)
    with pytest.raises(ProcessLookupError):
        daemons.stop(MASTER)
    with pytest.raises(OSError, match="Invalid"):
        daemons.stop(3)
