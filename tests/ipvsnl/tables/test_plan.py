"""The difference of two tables: what is none, and in which order what there is gets done. Pure: no kernel at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from ipvsnl.consts import AF_INET6, SVC_F_HASHED
from ipvsnl.model import Destination, Service, Timeouts
from ipvsnl.tables.plan import LOSING, Operation, Plan, difference
from ipvsnl.tables.table import TableError, of_values, same
from ipvsnl.tables.wanted import read_table
from ipvsnl.text.rules import RuleError
from tests.ipvsnl.random_tables import Tables, tables

WEB = Service("tcp", "192.0.2.1", 80, scheduler="rr")
SIX = Service("tcp", "2001:db8::1", 80, scheduler="rr")
ONE = Destination("10.0.0.1", 80, "masq")
GUE = Destination("10.0.0.1", 80, "tunnel", tunnel_type="gue", tunnel_port=6080, tunnel_flags=1)

SAME: dict[str, tuple[Service | Destination, Service | Destination]] = {
    "the flag that is always set": (WEB, WEB.replace(flags=SVC_F_HASHED)),
    "a protocol by its number": (WEB, WEB.replace(protocol=6)),
    "the netmask of one host": (WEB.replace(persistence=9), WEB.replace(persistence=9, netmask="255.255.255.255")),
    "the prefix of one host": (SIX.replace(persistence=9), SIX.replace(persistence=9, netmask=128)),
    "a netmask without persistence": (WEB, WEB.replace(netmask="255.255.255.0")),
    "a prefix without persistence": (SIX, SIX.replace(netmask=64)),
    "another spelling of IPv6": (SIX, SIX.replace(address="2001:0DB8:0::0:1")),
    "an address beside a firewall mark": (Service(fwmark=7), Service("tcp", "192.0.2.1", 80, fwmark=7, family=2)),
    "a method by its number": (ONE, ONE.replace(forwarding=0)),
    "a tunnel's fields without a tunnel": (ONE, ONE.replace(tunnel_type="gue", tunnel_port=9, tunnel_flags=2)),
    "a port of an IPIP tunnel": (ONE.replace(forwarding="tunnel"), GUE.replace(tunnel_type="ipip")),
    "a port of a GRE tunnel": (GUE.replace(tunnel_type="gre"), GUE.replace(tunnel_type=2, tunnel_port=0)),
}
OTHER: dict[str, tuple[Service | Destination, Service | Destination]] = {
    "weight 0 and 1": (ONE, ONE.replace(weight=0)),
    "persistence 0 and none": (WEB, WEB.replace(persistence=0)),
    "a netmask with persistence": (WEB.replace(persistence=9), WEB.replace(persistence=9, netmask="255.255.255.0")),
    "a scheduler's flag": (WEB, WEB.replace(flags=8)),
    "one packet": (WEB, WEB.replace(one_packet=True)),
    "a threshold": (ONE, ONE.replace(upper_threshold=1)),
    "a tunnel's port": (GUE, GUE.replace(tunnel_port=6081)),
    "a tunnel's checksum": (GUE, GUE.replace(tunnel_flags=2)),
    "an engine": (WEB.replace(persistence=9), WEB.replace(persistence=9, persistence_engine="sip")),
    "a mark's family": (Service(fwmark=7), Service(fwmark=7, family=AF_INET6)),
}


def between(before: Tables, after: Tables, *, prune: bool = True, drain: float | None = None) -> Plan:
    return difference(of_values(before), of_values(after), prune=prune, drain=drain)


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_what_is_no_difference(pair: tuple[Service | Destination, Service | Destination]) -> None:
    """Two spellings of one meaning are the same, whichever of them is live."""
    one, other = pair
    assert same(one, other) and same(other, one)
    for live, wanted in (pair, pair[::-1]):
        if isinstance(live, Service) and isinstance(wanted, Service):
            assert not between({live: []}, {wanted: []})
        elif isinstance(live, Destination) and isinstance(wanted, Destination):
            assert not between({WEB: [live]}, {WEB: [wanted]})


@pytest.mark.parametrize("pair", OTHER.values(), ids=OTHER)
def test_what_is_a_difference(pair: tuple[Service | Destination, Service | Destination]) -> None:
    """What the kernel treats in another way is planned for."""
    assert not same(*pair)


def test_default_ports_and_spellings_of_text_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text is read with ipvsadm's defaults: the service's port, -g, weight 1, wlc, masks of one host."""
    monkeypatch.setattr("_socket.getservbyname", lambda *named: {("http", "tcp"): 80}[named])  # no /etc/services needed
    full = "-A -t 192.0.2.1:80 -s wlc -p 360\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1 -x 0 -y 0\n"
    short = "# a comment\n-a -t 192.0.2.1:http -r 0x0a000001\n\nipvsadm -A -t 192.0.2.1:80 -p -M 255.255.255.255\n"
    assert not difference(read_table(full), read_table(short), prune=True)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_a_table_differs_from_itself_in_nothing(table: Tables) -> None:
    """In any order."""
    turned = {service: servers[::-1] for service, servers in reversed(table.items())}
    assert not between(table, turned)


@settings(max_examples=60, deadline=None)
@given(tables(), tables())
def test_an_edit_is_never_a_delete_and_an_add(before: Tables, after: Tables) -> None:
    """No rule is in a plan twice, and none whose key is in both tables is added or deleted: its connections live on."""
    seen = set()
    kept_services = {one.key for one in before} & {one.key for one in after}
    for one in between(before, after).operations:
        assert one.service is not None
        server = one.destination
        unit = (one.service.key, server.key if server else None)
        assert unit not in seen
        seen.add(unit)
        if server is None and one.service.key in kept_services:
            assert one.kind == "edit-service"


@settings(max_examples=60, deadline=None)
@given(tables(), tables())
def test_a_service_never_stands_without_its_servers(before: Tables, after: Tables) -> None:
    """Whoever has servers before and after has some all the while, and what gives comes before what takes."""
    live = {service.key: {one.key for one in servers} for service, servers in before.items()}
    wanted = {service.key: len(servers) for service, servers in after.items()}
    new = {one.key for one in after} - set(live)
    always = {key for key, servers in live.items() if servers and wanted.get(key)}
    operations = between(before, after, drain=1).operations
    losing = [one.kind in LOSING for one in operations]
    assert losing == sorted(losing)
    for at, one in enumerate(operations):
        assert one.service is not None
        servers = live.setdefault(one.service.key, set())
        if one.kind == "add-server" and one.destination is not None:
            servers.add(one.destination.key)
            if one.service.key in new:  # at once with its service, or with another of its servers
                assert operations[at - 1].service == one.service
        elif one.kind == "delete-server" and one.destination is not None:
            servers.remove(one.destination.key)
        assert all(live[key] for key in always)


def test_who_gets_a_weight_comes_before_who_loses_his() -> None:
    """Moving all traffic from one server to another leaves no moment with weight 0 everywhere."""
    two = Destination("10.0.0.2", 80, "masq", weight=0)
    plan = between({WEB: [ONE, two]}, {WEB: [ONE.replace(weight=0), two.replace(weight=1)]})
    assert [str(one) for one in plan.operations] == [
        "-e -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 1", "-e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 0"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-A -t 192.0.2.1:80\n\n-A -t 192.0.2.1:80 -s rr\n", "line 3: TCP 192.0.2.1:80: the same service as in line 1"),
        ("-A -f 7\n-a -f 7 -r 10.0.0.1\n-a -f 7 -r 10.2\n-a -f 7 -r 10.1 -w 2\n",
         "line 4: FWM 7 -> 10.0.0.1:0: the same server as in line 2"),
        ("-a -f 7 -r 10.0.0.1\n", "line 1: FWM 7 -> 10.0.0.1:0: there is no such service in the table"),
        ("-A -f 7\n-D -f 7\n", "line 2: 'delete-service' says what to do: a table has -A and -a alone"),
    ],
)  # fmt: skip
def test_a_table_that_contradicts_itself_is_refused(text: str, words: str) -> None:
    """The error names both lines."""
    with pytest.raises(TableError) as wrong:
        read_table(text)
    assert str(wrong.value) == words


def test_a_line_that_is_no_rule_is_named() -> None:
    """By number and text, in ipvsadm's words."""
    with pytest.raises(RuleError, match="line 2: -A -t x: "):
        read_table("-A -f 7\n-A -t x\n")


def test_operations_and_plans_are_shown_as_the_commands_they_are() -> None:
    """A plan is its operations, a line each; timeouts that are not wished for are 0, ipvsadm's word for that."""
    add = Operation("add-server", WEB, ONE)
    timeouts = Operation("set-timeouts", before=Timeouts(900, 120, 300), timeouts=Timeouts(800, None, None))
    assert str(Plan((add, timeouts))) == "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1\n--set 800 0 0"
    assert Operation("delete-server", WEB, ONE).rule() == "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1"
    assert Operation("delete-service", WEB).rule() == "-A -t 192.0.2.1:80 -s rr"


def test_an_edit_names_the_fields_that_change_and_no_others() -> None:
    """Of an entry those that differ, of timeouts those that are wished for; what is no edit changes no field."""
    edit = Operation("edit-server", WEB, ONE.replace(weight=7), ONE)
    assert edit.changes() == {"weight": (1, 7)}
    timeouts = Operation("set-timeouts", before=Timeouts(900, 120, 300), timeouts=Timeouts(800, None, 300))
    assert timeouts.changes() == {"tcp": (900, 800)}
    assert Operation("add-server", WEB, ONE).changes() == {}


def test_timeouts_that_are_as_wanted_are_not_set_again() -> None:
    """Only what is wished for and differs is in the operation, None and 0 are no wish; without prune the plan says so."""
    live, wanted = of_values({}), of_values({})
    wanted.timeouts = Timeouts(800, 0, 300)
    plan = difference(live, wanted, live_timeouts=Timeouts(900, 120, 300))
    assert [one.timeouts for one in plan.operations] == [Timeouts(800, None, None)]
    assert (plan.prune, plan.drain) == (False, None)
    wanted.timeouts = Timeouts(None, 0, 300)
    assert not difference(live, wanted, live_timeouts=Timeouts(900, 120, 300))
