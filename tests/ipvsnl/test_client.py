"""The client, on the simulated kernel and (by ``make kernel-test``) on the real one: the same tests."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipvsnl.bulk.changes import FEW_REFUSALS
from ipvsnl.client import IPVS
from ipvsnl.client import open as open_ipvs
from ipvsnl.consts import AF_INET6, SVC_F_SCHED1, SVC_F_SCHED2
from ipvsnl.errors import EncodeError, IPVSError, LinkError
from ipvsnl.family import Command
from ipvsnl.link.opening import open_link
from ipvsnl.model import Daemon, Destination, Service, Timeouts
from ipvsnl.refusals import BatchError, KernelError
from tests.ipvsnl.awkward import Scripted, Splitting, done, error

WEB = Service("tcp", "192.0.2.1", 80, scheduler="rr")
ONE = Destination("10.0.0.1", 80, "masq")
TWO = Destination("10.0.0.2", 8080, "masq", weight=3)

SERVICES = [
    WEB,
    Service("udp", "192.0.2.1", 53, scheduler="sh", flags=SVC_F_SCHED1 | SVC_F_SCHED2, one_packet=True),
    Service("sctp", "192.0.2.9", 5060, scheduler="lc"),
    Service("tcp", "2001:db8::1", 443, scheduler="mh", persistence=300, netmask=64),
    Service("tcp", "192.0.2.1", 0, scheduler="lblcr", persistence=360, netmask="255.255.255.0"),
    Service("udp", "192.0.2.2", 5060, scheduler="wrr", persistence=60, persistence_engine="sip"),
    Service(fwmark=7, scheduler="dh"),
    Service(fwmark=7, family=AF_INET6, scheduler="lblc"),
    Service(fwmark=2**32 - 1, scheduler="none"),
]
DESTINATIONS = [
    ONE,
    TWO,
    Destination("10.0.0.3", 80, "route", weight=0, upper_threshold=100, lower_threshold=50),
    Destination("10.0.0.4", 80, "tunnel"),
    Destination("10.0.0.5", 80, "tunnel", tunnel_type="gue", tunnel_port=6080, tunnel_flags=1),
    Destination("fd00::6", 80, "tunnel", 65536, tunnel_type="gre", tunnel_flags=1),
]


def refusal(call: Callable[[], object]) -> KernelError:
    with pytest.raises(KernelError) as refused:
        call()
    return refused.value


@pytest.mark.parametrize("service", SERVICES, ids=str)
def test_what_was_added_is_what_is_read(ipvs: IPVS, service: Service) -> None:
    """Every kind of virtual service comes back from the kernel as the value that was given."""
    ipvs.add_service(service)
    assert ipvs.service(service).service == service
    assert [status.service for status in ipvs.services()] == [service]


@pytest.mark.parametrize("destination", DESTINATIONS, ids=str)
def test_a_server_that_was_added_is_what_is_read(ipvs: IPVS, destination: Destination) -> None:
    """Every kind of real server comes back from the kernel as the value that was given."""
    ipvs.add_service(WEB)
    ipvs.add_server(WEB, destination)
    status = ipvs.server(WEB, destination)
    assert status.destination == destination
    assert (status.active, status.inactive, status.persistent, status.statistics.conns) == (0, 0, 0, 0)


def test_one_change_changes_one_field(ipvs: IPVS) -> None:
    """An edit with named fields leaves every other as it is, though the kernel's own edit resets what it is not told."""
    service = SERVICES[5]
    ipvs.add_service(service)
    ipvs.edit_service(Service("udp", "192.0.2.2", 5060), scheduler="wlc")
    assert ipvs.service(service).service == service.replace(scheduler="wlc")
    tunnelled = DESTINATIONS[4]
    ipvs.add_server(service, tunnelled)
    ipvs.edit_server(service, Destination("10.0.0.5", 80), weight=9)
    assert ipvs.server(service, tunnelled).destination == tunnelled.replace(weight=9)


def test_an_edit_without_named_fields_is_whole(ipvs: IPVS) -> None:
    """Without changes the service and the server become the values that are given."""
    ipvs.add_service(SERVICES[4])
    ipvs.add_server(SERVICES[4], ONE)
    ipvs.edit_service(SERVICES[4].replace(scheduler="sed", persistence=None, netmask=None))
    ipvs.edit_server(SERVICES[4], ONE.replace(forwarding="route", weight=0))
    assert ipvs.service(SERVICES[4]).service == Service("tcp", "192.0.2.1", 0, scheduler="sed")
    assert ipvs.server(SERVICES[4], ONE).destination == Destination("10.0.0.1", 80, "route", 0)


def test_servers_come_newest_first_and_edits_do_not_move_them(ipvs: IPVS) -> None:
    """The order of a service's real servers is the kernel's list."""
    ipvs.add_service(WEB)
    for destination in DESTINATIONS:
        ipvs.add_server(WEB, destination)
    ipvs.edit_server(WEB, ONE, weight=5)
    read = [status.destination.key for status in ipvs.servers(WEB)]
    assert read == [destination.key for destination in reversed(DESTINATIONS)]


def test_deletions(ipvs: IPVS) -> None:
    """A deleted server, a deleted service and a flushed table are gone."""
    for service in SERVICES:
        ipvs.add_service(service)
        ipvs.add_server(service, DESTINATIONS[5] if service.family == AF_INET6 else TWO)
    ipvs.delete_server(WEB, TWO)
    assert ipvs.servers(WEB) == []
    ipvs.delete_service(WEB)
    assert {status.service for status in ipvs.services()} == set(SERVICES[1:])
    ipvs.flush()
    assert ipvs.services() == []


def test_a_snapshot_is_the_whole_table(ipvs: IPVS) -> None:
    """Every virtual service with its real servers."""
    for service in SERVICES[:3]:
        ipvs.add_service(service)
        for destination in DESTINATIONS[:3]:
            ipvs.add_server(service, destination)
    table = {entry.service: [status.destination for status in entry.destinations] for entry in ipvs.snapshot()}
    assert table == dict.fromkeys(SERVICES[:3], DESTINATIONS[2::-1])


REFUSALS: dict[str, tuple[Callable[[IPVS], object], int, int, str]] = {
    "add twice": (lambda ipvs: ipvs.add_service(WEB), errno.EEXIST, Command.NEW_SERVICE, "Service already exists"),
    "no such service": (
        lambda ipvs: ipvs.delete_service(SERVICES[2]), errno.ESRCH, Command.DEL_SERVICE, "No such service"),
    "read what is not there": (
        lambda ipvs: ipvs.service(SERVICES[2]), errno.ESRCH, Command.GET_SERVICE, "No such service"),
    "unknown scheduler": (
        lambda ipvs: ipvs.edit_service(WEB, scheduler="nosuch"), errno.ENOENT, Command.SET_SERVICE,
        "Scheduler or persistence engine not found"),
    "add a server twice": (
        lambda ipvs: ipvs.add_server(WEB, ONE), errno.EEXIST, Command.NEW_DEST, "Destination already exists"),
    "edit no server": (
        lambda ipvs: ipvs.edit_server(WEB, TWO), errno.ENOENT, Command.SET_DEST, "No such destination"),
    "delete no server": (
        lambda ipvs: ipvs.delete_server(WEB, TWO), errno.ENOENT, Command.DEL_DEST, "No such destination"),
    "server of no service": (
        lambda ipvs: ipvs.add_server(SERVICES[2], ONE), errno.ESRCH, Command.NEW_DEST, "Service not defined"),
    "thresholds upside down": (
        lambda ipvs: ipvs.add_server(WEB, TWO.replace(lower_threshold=2, upper_threshold=1)), errno.ERANGE,
        Command.NEW_DEST, "Numerical result out of range"),
    "no unicast address": (
        lambda ipvs: ipvs.add_server(WEB, Destination("224.0.0.1", 80, "masq")), errno.EINVAL, Command.NEW_DEST,
        "Invalid operation.  Possibly wrong module version, address not unicast, ..."),
    "stop no daemon": (
        lambda ipvs: ipvs.stop_daemon("master"), errno.ESRCH, Command.DEL_DAEMON, "No daemon is running"),
    "daemon on no device": (
        lambda ipvs: ipvs.start_daemon(Daemon("backup", "nosuch0")), errno.ENODEV, Command.NEW_DAEMON,
        "No such device"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_what_was_refused(ipvs: IPVS, case: tuple[Callable[[IPVS], object], int, int, str]) -> None:
    """The errno, the command, ipvsadm's words and the rule; the table is as it was."""
    ipvs.add_service(WEB)
    ipvs.add_server(WEB, ONE)
    before = ipvs.snapshot()
    call, number, command, words = case
    refused = refusal(lambda: call(ipvs))
    assert (refused.errno, refused.command, refused.message) == (number, command, words)
    assert isinstance(refused, OSError) and words in str(refused)
    if command in (Command.NEW_SERVICE, Command.DEL_SERVICE, Command.NEW_DEST, Command.DEL_DEST):
        assert refused.service is not None and str(refused.service) in str(refused)
    assert ipvs.snapshot() == before


def test_a_server_without_its_service_is_told_from_a_missing_server(ipvs: IPVS) -> None:
    """The kernel answers both with an empty list; the client asks for the service first."""
    assert ipvs.servers(WEB) == []
    assert refusal(lambda: ipvs.server(WEB, ONE)).errno == errno.ESRCH
    ipvs.add_service(WEB)
    assert refusal(lambda: ipvs.server(WEB, ONE)).errno == errno.ENOENT


def test_what_has_no_form_on_the_wire_is_never_sent(ipvs: IPVS) -> None:
    """A caller's mistake is found before the kernel hears of it."""
    for wrong in (None, "192.0.2.1:80", ONE):
        with pytest.raises(EncodeError, match="this takes a Service"):
            ipvs.add_service(wrong)  # type: ignore[arg-type]
    ipvs.add_service(WEB)
    with pytest.raises(EncodeError, match="this takes a Destination, not None"):
        ipvs.add_server(WEB, None)  # type: ignore[arg-type]
    assert ipvs.servers(WEB) == []
    ipvs.delete_service(WEB)
    assert ipvs.services() == []


def test_timeouts(ipvs: IPVS) -> None:
    """None and 0 keep a timeout; a refused one changes none."""
    ipvs.set_timeouts(Timeouts(tcp=800, udp=0))
    assert ipvs.timeouts() == Timeouts(800, 120, 300)
    assert refusal(lambda: ipvs.set_timeouts(Timeouts(tcp=5, udp=2**31))).errno == errno.EINVAL
    assert ipvs.timeouts() == Timeouts(800, 120, 300)


def test_info(ipvs: IPVS) -> None:
    """The version of IPVS and the size of its connection table."""
    info = ipvs.info()
    assert info.version == (1, 2, 1) and info.connection_table_size == 4096


def test_daemons(ipvs: IPVS) -> None:
    """A daemon is listed with what the kernel filled in, and stops, even when the kernel forgets to say so."""
    ipvs.start_daemon(Daemon("backup", "lo", sync_id=7, group="224.0.0.99", port=9999, ttl=3))
    (daemon,) = ipvs.daemons()
    assert daemon == Daemon("backup", "lo", 7, daemon.max_length, "224.0.0.99", 9999, 3) and daemon.max_length
    ipvs.stop_daemon("backup")
    assert ipvs.daemons() == []


def test_zero(ipvs: IPVS) -> None:
    """Zeroing one service or all is accepted; an unknown one is refused."""
    ipvs.add_service(WEB)
    ipvs.zero(WEB)
    ipvs.zero()
    assert refusal(lambda: ipvs.zero(SERVICES[1])).errno == errno.ESRCH


def test_a_batch_goes_on_after_a_refusal_and_names_every_one(ipvs: IPVS) -> None:
    """Refused changes are reported with their tags, in order; the others are made."""
    ipvs.add_service(Service(fwmark=3, scheduler="rr"))
    batch = ipvs.batch()
    with pytest.raises(BatchError) as refused, batch:
        for mark in range(1, 6):
            batch.add_service(Service(fwmark=mark, scheduler="rr"), tag=f"line {mark}")
        batch.add_server(WEB, ONE, tag="line 6")
    assert [(error.tag, error.errno) for error in refused.value.refused] == [
        ("line 3", errno.EEXIST),
        ("line 6", errno.ESRCH),
    ]
    assert refused.value.refused[1].destination == ONE
    assert batch.sent == 6 and len(ipvs.services()) == 5


def test_a_batch_of_any_size_loses_no_refusal(ipvs: IPVS) -> None:
    """More refusals than the receive queue could hold at once are all reported."""
    many = 3 * FEW_REFUSALS + 5
    with ipvs.batch() as batch:
        for mark in range(1, many + 1):
            batch.add_service(Service(fwmark=mark, scheduler="rr"))
    assert len(ipvs.services()) == many
    with pytest.raises(BatchError) as refused, ipvs.batch() as batch:
        for mark in range(1, many + 1):
            batch.add_service(Service(fwmark=mark, scheduler="rr"), tag=mark)
    assert [error.tag for error in refused.value.refused] == list(range(1, many + 1))


def test_a_batch_that_is_given_up_sends_nothing_more(ipvs: IPVS) -> None:
    """An exception in the block keeps what was not sent from being sent."""
    with pytest.raises(RuntimeError), ipvs.batch() as batch:
        batch.add_service(WEB)
        raise RuntimeError
    assert ipvs.services() == []


def test_two_clients_see_one_table(connect: Callable[[], IPVS]) -> None:
    """What one writes the other reads."""
    one, other = connect(), connect()
    one.add_service(WEB)
    other.add_server(WEB, ONE)
    assert [status.destination for status in one.servers(WEB)] == [ONE]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 2**32 - 1), max_size=120, unique=True))
def test_large_dumps_are_whole(ipvs: IPVS, marks: list[int]) -> None:
    """A dump of many datagrams has every entry once."""
    ipvs.flush()
    with ipvs.batch() as batch:
        for mark in marks:
            batch.add_service(Service(fwmark=mark, scheduler="rr"))
    assert sorted(status.service.fwmark for status in ipvs.services()) == sorted(marks)


def test_an_awkward_kernel_changes_nothing(connect: Callable[[], IPVS]) -> None:
    """Dumps split to single messages and foreign answers in between are read as if they were not."""
    plain = connect()
    awkward = connect()
    awkward._conversation.link = Splitting(awkward._conversation.link)
    with awkward.batch() as batch:
        for service in SERVICES:
            batch.add_service(service)
        for destination in DESTINATIONS:
            batch.add_server(WEB, destination)
    assert awkward.snapshot() == plain.snapshot() and len(plain.services()) == len(SERVICES)
    assert refusal(lambda: awkward.add_service(WEB)).errno == errno.EEXIST


def test_a_kernel_without_ipvs_is_explained() -> None:
    """The reason, and what to do, when the family is not there; the link is closed."""
    link = Scripted([error(1, errno.ENOENT)])
    with pytest.raises(LinkError, match="modprobe ip_vs") as missing:
        IPVS(link)
    assert missing.value.errno == errno.ENOPROTOOPT and link.closed


def test_a_link_has_its_namespace_already() -> None:
    """netns= is for the kernel's own socket; beside a link it is an error, not forgotten."""
    with pytest.raises(ValueError, match="namespace already"):
        IPVS(Scripted(), netns="blue")


def test_a_kernel_that_falls_silent_is_a_link_error() -> None:
    """No wait is without a limit, and a controller that names no family is not believed."""
    link = Scripted()
    with pytest.raises(LinkError) as silent:
        IPVS(link, timeout=0.01)
    assert silent.value.errno == errno.ETIMEDOUT and link.closed
    with pytest.raises(Exception, match="family"):
        IPVS(Scripted([done(1)]))


@pytest.mark.parametrize("target", ["", "kernal", "sim-file", "tcp:1.2.3.4"])
def test_an_unknown_target_is_refused(target: str) -> None:
    """A misspelt target is never taken for another."""
    with pytest.raises(LinkError, match="unknown target"):
        open_link(target)
    with pytest.raises(LinkError):
        open_ipvs(target)


WRONG: dict[str, Callable[[IPVS], object]] = {
    "a plan": lambda ipvs: ipvs.plan(None),  # type: ignore[arg-type]
    "a plan's pairs": lambda ipvs: ipvs.plan([5]),  # type: ignore[arg-type]
    "what to apply": lambda ipvs: ipvs.apply(None),  # type: ignore[arg-type]
    "a load": lambda ipvs: ipvs.load(None),
    "an item of a load": lambda ipvs: ipvs.load([5]),
    "servers of a load": lambda ipvs: ipvs.load([(WEB, [None])]),
    "a reload": lambda ipvs: ipvs.reload(None),  # type: ignore[arg-type]
    "timeouts": lambda ipvs: ipvs.set_timeouts(None),  # type: ignore[arg-type]
    "a daemon": lambda ipvs: ipvs.start_daemon(None),  # type: ignore[arg-type]
    "a role": lambda ipvs: ipvs.stop_daemon("boss"),
    "a service": lambda ipvs: ipvs.servers(None),  # type: ignore[arg-type]
    "a server": lambda ipvs: ipvs.server(WEB, None),  # type: ignore[arg-type]
    "a service of connections": lambda ipvs: ipvs.connections(service="x"),  # type: ignore[arg-type]
    "a server of connections": lambda ipvs: ipvs.connections(server=WEB),  # type: ignore[arg-type]
    "a service to zero": lambda ipvs: ipvs.zero("x"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("ask", WRONG.values(), ids=WRONG)
def test_an_argument_of_another_kind_is_named(ipvs: IPVS, ask: Callable[[IPVS], object]) -> None:
    """Whatever is no value of the right kind is the caller's error, shown, and never a raw one from inside."""
    ipvs.add_service(WEB)
    with pytest.raises(IPVSError) as refused:
        ask(ipvs)
    assert any(word in str(refused.value) for word in ("not ", "is no", "is nothing", "takes"))
    assert [status.service for status in ipvs.services()] == [WEB]
