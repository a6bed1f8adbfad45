"""Plans carried out on the simulated kernel and (in the laboratory) on the real one: the same tests."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings

from ipvsnl._value import maker
from ipvsnl.client import IPVS
from ipvsnl.errors import EncodeError
from ipvsnl.model import Destination, Service, Timeouts
from ipvsnl.refusals import KernelError
from ipvsnl.tables.failures import ApplyError, ConflictError
from ipvsnl.tables.table import Table, of_values
from tests.conftest import ON_THE_KERNEL
from tests.ipvsnl.awkward import HEADER
from tests.ipvsnl.random_tables import Tables, exact, meaning, tables

if TYPE_CHECKING:
    from ipvsnl.link.contract import Link

PAIRS = int(os.environ.get("IPVSNL_PAIRS", "30"))
"""Random pairs of tables; the campaign sets 1000."""
ENOUGH = settings(
    max_examples=PAIRS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
WEB = Service("tcp", "192.0.2.1", 80, scheduler="rr")
ONE, TWO = Destination("10.0.0.1", 80, "masq"), Destination("10.0.0.2", 80, "masq", weight=3)


def become(ipvs: IPVS, table: Tables) -> None:
    """Make the table be that, with no plan."""
    ipvs.flush()
    with ipvs.batch() as batch:
        for service, servers in table.items():
            batch.add_service(service)
            for one in servers:
                batch.add_server(service, one)


class Refusing:
    """A link that has the kernel refuse the n-th change (from 0), each of them once, and lets all others pass."""

    descriptor = None  # the C core would talk over the socket itself, past this link

    def __init__(self, link: Link, *numbers: int) -> None:
        self._link = link
        self._numbers = set(numbers)
        self.max_send = link.max_send
        self.changes = 0

    def send(self, data: bytes) -> None:
        changed, at = bytearray(data), 0
        while at < len(data):
            if data[at + 16] in (1, 2, 3, 5, 6, 7, 17):
                if self.changes in self._numbers:
                    changed[at + 16] = 99  # a command that there is not
                self.changes += 1
            at += (HEADER.unpack_from(data, at)[0] + 3) & ~3
        self._link.send(bytes(changed))

    def __getattr__(self, name: str) -> object:
        return getattr(self._link, name)


@ENOUGH
@given(tables(), tables())
def test_a_plan_makes_any_table_any_other(ipvs: IPVS, before: Tables, after: Tables) -> None:
    """Plan and apply give the wanted table; planned again there is nothing to do."""
    become(ipvs, before)
    plan = ipvs.plan(after, prune=True)
    ipvs.apply(plan)
    assert meaning(ipvs.snapshot()) == meaning(after)
    assert not ipvs.plan(after, prune=True) and not ipvs.plan(ipvs.snapshot(), prune=True)


@ENOUGH
@given(tables(), tables())
def test_without_pruning_nothing_goes(ipvs: IPVS, before: Tables, after: Tables) -> None:
    """What is not wanted stays; what is wanted is there, as it is wanted."""
    become(ipvs, before)
    plan = ipvs.plan(after)
    assert not {one.kind for one in plan.operations} & {"delete-server", "delete-service", "drain-server"}
    ipvs.apply(plan)
    found, wanted = meaning(ipvs.snapshot()), meaning(after)
    assert {one.key for one in found} == {one.key for one in meaning(before)} | {one.key for one in wanted}
    for service, servers in wanted.items():
        assert servers <= found[service]
    assert not ipvs.plan(after) and bool(ipvs.plan(after, prune=True)) is bool(plan.stays)


@settings(ENOUGH, max_examples=max(PAIRS // 10, 5))
@given(tables(), tables())
def test_a_refusal_at_any_position_changes_nothing(connect: Callable[[], IPVS], before: Tables, after: Tables) -> None:
    """Whichever operation of a plan is refused, the table afterwards is the table before, to the last field."""
    ipvs = connect()
    become(ipvs, before)
    was = exact(ipvs.snapshot())
    plan = ipvs.plan(after, prune=True)
    assume(plan)
    for number, operation in enumerate(plan.operations):
        with connect() as refusing:
            refusing._conversation.link = Refusing(refusing._conversation.link, number)  # type: ignore[assignment]
            with pytest.raises(ApplyError) as failed:
                refusing.apply(plan)
        assert failed.value.operation == operation and failed.value.rolled_back
        assert str(operation) in str(failed.value) and "rolled back" in str(failed.value)
        assert exact(ipvs.snapshot()) == was


def large() -> tuple[Tables, Tables]:
    """Two tables that are 200 operations apart, of every kind."""

    def web(number: int) -> Service:
        return Service("tcp", "192.0.2.1", number, scheduler="rr")

    def four(count: int, weight: int = 1) -> list[Destination]:
        return [Destination(f"10.0.0.{number}", 80, "masq", weight, 9, 3) for number in range(1, count + 1)]

    before = {web(number): four(6) for number in range(1, 21)}
    after: Tables = {}
    for number in range(1, 11):  # 10 x (an edited service, 4 edited servers, 2 that go, 2 that come)
        after[web(number).replace(scheduler="wrr")] = [*four(4, 5), *four(8)[6:]]
    for number in range(21, 37):  # 16 x (a service, 4 servers)
        after[web(number)] = four(4)
    after[web(20)] = four(5)
    return before, after


def test_a_refusal_at_each_position_of_200_operations(connect: Callable[[], IPVS]) -> None:
    """Every one of 200 operations refused in its turn: the table afterwards equals the table before, every time."""
    ipvs = connect()
    before, after = large()
    become(ipvs, before)
    was = exact(ipvs.snapshot())
    plan = ipvs.plan(after, prune=True, drain=0)
    assert len(plan) >= 200, len(plan)
    for number in range(len(plan)):
        with connect() as refusing:
            refusing._conversation.link = Refusing(refusing._conversation.link, number)  # type: ignore[assignment]
            with pytest.raises(ApplyError) as failed:
                refusing.apply(plan)
        assert failed.value.operation == plan.operations[number] and failed.value.rolled_back
        assert exact(ipvs.snapshot()) == was
    ipvs.apply(plan)
    assert meaning(ipvs.snapshot()) == meaning(after)


def test_a_rollback_that_is_refused_says_what_is_left(connect: Callable[[], IPVS]) -> None:
    """Where even the rollback is refused, the error names every rule that is not what it was."""
    ipvs = connect()
    become(ipvs, {WEB: [ONE]})
    plan = ipvs.plan({WEB: [ONE.replace(weight=5), TWO]})
    ipvs._conversation.link = Refusing(ipvs._conversation.link, 1, 2)  # type: ignore[assignment]
    with pytest.raises(ApplyError) as failed:
        ipvs.apply(plan)
    assert not failed.value.rolled_back and "10.0.0.2:80" in failed.value.left[0]


def test_a_real_refusal_is_explained(ipvs: IPVS) -> None:
    """The kernel's own refusal of a rule comes with the rule, the field and the likely cause, and is rolled back."""
    become(ipvs, {WEB: [ONE]})
    plan = ipvs.plan({WEB.replace(scheduler="wlc"): [ONE, TWO, Destination("224.0.0.1", 80, "masq")]})
    with pytest.raises(ApplyError) as failed:
        ipvs.apply(plan)
    reason = failed.value.reason
    assert isinstance(reason, KernelError)
    assert (reason.errno, reason.field) == (errno.EINVAL, "address") and "unicast" in reason.cause
    assert meaning(ipvs.snapshot()) == {WEB: {ONE}}


def test_everything_is_validated_before_the_first_write(ipvs: IPVS) -> None:
    """A value that was made unchecked, and has no form on the wire, is found before the operations before it are sent."""
    unchecked = maker(Destination)(*TWO.astuple()[:3], 2**40, *TWO.astuple()[4:])
    with pytest.raises(EncodeError, match=r"Destination\.weight"):
        ipvs.apply(ipvs.plan({WEB: [ONE, unchecked]}))
    assert ipvs.services() == []


@pytest.mark.parametrize(
    "bad",
    [
        TWO.replace(lower_threshold=2, upper_threshold=1), TWO.replace(weight=-1), Destination("fd00::1", 80, "masq"),
        Destination("10.0.0.3", 80, "tunnel", tunnel_type="gue"),
    ],
)  # fmt: skip
def test_a_refusal_that_is_certain_is_found_before_the_first_write(
    connect: Callable[[], IPVS], bad: Destination
) -> None:
    """What the kernel would refuse for the rule alone is refused before anything is sent, with the kernel's errno."""
    ipvs = connect()
    become(ipvs, {WEB: [ONE]})
    plan = ipvs.plan({WEB.replace(scheduler="wlc"): [ONE.replace(weight=5), bad]})
    ipvs._conversation.link = Refusing(ipvs._conversation.link)  # type: ignore[assignment]
    with pytest.raises(ApplyError) as failed:
        ipvs.apply(plan)
    assert isinstance(failed.value.reason, KernelError) and failed.value.reason.cause
    assert ipvs._conversation.link.changes == 0  # type: ignore[attr-defined]
    with pytest.raises(KernelError) as refused:
        ipvs.add_server(WEB, bad)
    assert refused.value.errno == failed.value.reason.errno


def test_a_stale_plan_is_refused_before_it_writes(connect: Callable[[], IPVS]) -> None:
    """A plan is for the table that it was made from: what others changed since is named, and nothing is written."""
    ipvs, other = connect(), connect()
    become(ipvs, {WEB: [ONE, TWO]})
    plan = ipvs.plan({WEB: [ONE.replace(weight=9)]}, prune=True)
    other.edit_server(WEB, ONE.replace(weight=4))
    with pytest.raises(ConflictError, match=r"10\.0\.0\.1:80") as conflict:
        ipvs.apply(plan)
    assert not conflict.value.written and meaning(ipvs.snapshot()) == {WEB: {ONE.replace(weight=4), TWO}}


def test_a_server_that_someone_else_adds_is_never_deleted_with_its_service(connect: Callable[[], IPVS]) -> None:
    """A service is deleted only with the servers that the plan knew of."""
    ipvs, other = connect(), connect()
    become(ipvs, {WEB: [ONE]})
    plan = ipvs.plan({}, prune=True)
    other.add_server(WEB, TWO)
    with pytest.raises(ConflictError):
        ipvs.apply(plan)
    assert meaning(ipvs.snapshot()) == {WEB: {ONE, TWO}}


class Meddling:
    """A link that lets someone else write right after the n-th send of changes."""

    descriptor = None

    def __init__(self, link: Link, number: int, act: Callable[[], object]) -> None:
        self._link = link
        self._left = number
        self._act = act
        self.max_send = link.max_send

    def send(self, data: bytes) -> None:
        self._link.send(data)
        if data[16] in (1, 2, 3, 5, 6, 7):
            self._left -= 1
            if self._left == 0:
                self._act()

    def __getattr__(self, name: str) -> object:
        return getattr(self._link, name)


def test_a_write_of_someone_else_meanwhile_is_told(connect: Callable[[], IPVS]) -> None:
    """Whoever writes while a plan is carried out is seen by reading afterwards, and named."""
    ipvs, other = connect(), connect()
    become(ipvs, {WEB: [ONE]})
    plan = ipvs.plan({WEB: [ONE.replace(weight=9)]})
    ipvs._conversation.link = Meddling(
        ipvs._conversation.link, 1, lambda: other.edit_server(WEB, ONE.replace(weight=4))
    )  # type: ignore[assignment]
    with pytest.raises(ConflictError, match=r"10\.0\.0\.1:80") as conflict:
        ipvs.apply(plan)
    assert conflict.value.written


def test_a_rollback_leaves_alone_what_someone_else_wrote(connect: Callable[[], IPVS]) -> None:
    """A rule that is neither what it was nor what we made it stays, and is named as not rolled back."""
    ipvs, other = connect(), connect()
    become(ipvs, {WEB: [ONE, TWO]})
    plan = ipvs.plan({WEB: [ONE.replace(weight=9)]}, prune=True)
    meddled = Meddling(ipvs._conversation.link, 1, lambda: other.edit_server(WEB, ONE.replace(weight=4)))
    ipvs._conversation.link = Refusing(meddled, 1)  # type: ignore[assignment, arg-type]
    with pytest.raises(ApplyError) as failed:
        ipvs.apply(plan)
    assert not failed.value.rolled_back and "someone else" in failed.value.left[0]
    assert meaning(ipvs.snapshot()) == {WEB: {ONE.replace(weight=4), TWO}}


def test_converging_outlasts_others(connect: Callable[[], IPVS]) -> None:
    """What others change meanwhile is planned for anew, until nothing differs."""
    from ipvsnl.tables.apply import converge

    ipvs, other = connect(), connect()
    become(ipvs, {WEB: [ONE]})
    ipvs._conversation.link = Meddling(
        ipvs._conversation.link, 1, lambda: other.edit_server(WEB, ONE.replace(weight=4))
    )  # type: ignore[assignment]
    converge(ipvs, of_values({WEB: [ONE.replace(weight=9), TWO]}))
    assert meaning(ipvs.snapshot()) == {WEB: {ONE.replace(weight=9), TWO}}


def test_converging_tells_what_was_done_and_prunes_only_when_asked(ipvs: IPVS) -> None:
    """The plans that were carried out come back; what is not wanted stays, unless ``prune`` says otherwise."""
    from ipvsnl.tables.apply import converge

    become(ipvs, {WEB: [ONE]})
    done = converge(ipvs, of_values({WEB: [TWO]}))
    assert [[one.kind for one in plan.operations] for plan in done] == [["add-server"]]
    assert meaning(ipvs.snapshot()) == {WEB: {ONE, TWO}}
    assert converge(ipvs, of_values({WEB: [TWO]})) == []
    done = converge(ipvs, of_values({WEB: [TWO]}), prune=True)
    assert [[one.kind for one in plan.operations] for plan in done] == [["delete-server"]]


class Overtaking(Meddling):
    """A link that lets someone else write right before the n-th send of changes."""

    def send(self, data: bytes) -> None:
        if data[16] in (1, 2, 3, 5, 6, 7):
            self._left -= 1
            if self._left == 0:
                self._act()
        self._link.send(data)


def test_what_was_refused_is_not_taken_back(connect: Callable[[], IPVS]) -> None:
    """A server that someone else added first is refused to us, and stays theirs: the rollback takes back only our writes."""
    ipvs, other = connect(), connect()
    become(ipvs, {WEB: [ONE]})
    plan = ipvs.plan(of_values({WEB: [ONE, TWO]}))
    overtaken = Overtaking(ipvs._conversation.link, 1, lambda: other.add_server(WEB, TWO))
    ipvs._conversation.link = overtaken  # type: ignore[assignment]
    with pytest.raises(ApplyError) as failed:
        ipvs.apply(plan)
    assert failed.value.rolled_back
    assert meaning(ipvs.snapshot()) == {WEB: {ONE, TWO}}


def test_converging_outlasts_a_refusal_by_someone_elses_write(connect: Callable[[], IPVS]) -> None:
    """What is refused because someone else was faster is planned for anew; any other refusal ends it at once."""
    from ipvsnl.tables.apply import converge

    ipvs, other = connect(), connect()
    become(ipvs, {WEB: [ONE]})
    overtaken = Overtaking(ipvs._conversation.link, 1, lambda: other.add_server(WEB, TWO))
    ipvs._conversation.link = overtaken  # type: ignore[assignment]
    converge(ipvs, of_values({WEB: [ONE, TWO.replace(weight=9)]}))
    assert meaning(ipvs.snapshot()) == {WEB: {ONE, TWO.replace(weight=9)}}
    with pytest.raises(ApplyError):
        converge(ipvs, of_values({WEB.replace(port=81, scheduler="nosuch"): []}))


def test_timeouts_are_part_of_a_table_that_names_them(ipvs: IPVS) -> None:
    """They are set with the rest, are rolled back with the rest, and None is no wish."""
    wanted = Table()
    wanted.timeouts = Timeouts(800, None, 0)
    ipvs.apply(ipvs.plan(wanted))
    assert ipvs.timeouts() == Timeouts(800, 120, 300) and not ipvs.plan(wanted)
    wanted.timeouts = Timeouts(700)
    wanted.add_service(WEB.replace(scheduler="nosuch"))
    with pytest.raises(ApplyError):
        ipvs.apply(ipvs.plan(wanted))
    assert ipvs.timeouts() == Timeouts(800, 120, 300)


def test_draining_gives_weight_0_first_and_waits_no_longer_than_needed(ipvs: IPVS) -> None:
    """An idle server goes at once, after its weight was 0."""
    become(ipvs, {WEB: [ONE, TWO]})
    plan = ipvs.plan({WEB: [ONE]}, prune=True, drain=60)
    assert [one.kind for one in plan.operations] == ["drain-server", "delete-server"]
    ipvs.apply(plan)
    assert meaning(ipvs.snapshot()) == {WEB: {ONE}}


@pytest.mark.skipif(ON_THE_KERNEL, reason="connections are made by hand")
def test_edits_keep_connections_and_draining_waits_for_them(connect: Callable[[], IPVS]) -> None:
    """A server that is only edited keeps its connection counts; one that goes waits until its connections have ended."""
    ipvs = connect()
    become(ipvs, {WEB: [ONE, TWO]})
    (service,) = ipvs._conversation.link._endpoint.namespace.table.services()  # type: ignore[attr-defined]
    for one in service.servers():
        one.active = 1
    ipvs.apply(ipvs.plan({WEB.replace(scheduler="wlc"): [ONE.replace(weight=7), TWO]}))
    assert [status.active for status in ipvs.servers(WEB)] == [1, 1]
    said: list[str] = []

    def watch(words: str) -> None:
        said.append(words)
        for one in service.servers():
            one.active = 0

    from ipvsnl.tables.apply import apply

    apply(ipvs, ipvs.plan({WEB: [ONE]}, prune=True, drain=30), watch=watch)
    assert "1 of 1 servers" in said[0] and meaning(ipvs.snapshot()) == {WEB: {ONE}}
