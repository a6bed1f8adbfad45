"""Loads, on the simulated kernel and (by ``make kernel-test``) on the real one."""

from __future__ import annotations

import errno
import io
import lzma
import os
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from ipvsnl.bulk.load import PUT_OFF
from ipvsnl.client import IPVS
from ipvsnl.errors import LinkError
from ipvsnl.family import Command
from ipvsnl.link.conversation import Conversation
from ipvsnl.model import Service
from ipvsnl.refusals import BatchError
from ipvsnl.text.rules import RuleError
from ipvsnl.wire import records
from tests.conftest import ON_THE_KERNEL
from tests.ipvsnl.awkward import HEADER, Splitting, error
from tests.ipvsnl.twins import BUILT
from tests.places import DATA

RULES = DATA / "rules"
MIXED = (RULES / "mixed.rules").read_bytes()
WEB = Service("tcp", "192.0.2.1", 80, scheduler="rr")
FARM = Service("tcp", "192.0.2.1", 80, scheduler="mh")


def farm(servers: int, scheduler: str = "mh") -> str:
    """One service and its servers."""
    lines = [f"-a -t 192.0.2.1:80 -r 10.1.{n >> 8}.{n & 255}:80 -m -w 1\n" for n in range(servers)]
    return f"-A -t 192.0.2.1:80 -s {scheduler}\n" + "".join(lines)


def refused(call: Callable[[], object]) -> list[tuple[object, int]]:
    with pytest.raises(BatchError) as caught:
        call()
    return [(one.tag, one.errno or 0) for one in caught.value.refused]


class Accepting:
    """A kernel that accepts everything, and puts it into a file."""

    max_send = 1 << 20

    def __init__(self, file: BinaryIO) -> None:
        self.answers: deque[bytes] = deque()
        self.file = file

    def send(self, data: bytes) -> None:
        self.file.write(data)
        if len(data) < 100:
            family = b"\x06\x00\x01\x00\x1c\x00\x00\x00"
            payload = b"\x01\x02\x00\x00" + family
            self.answers.append(HEADER.pack(16 + len(payload), 16, 0, HEADER.unpack_from(data)[3], 9) + payload)
            self.answers.append(error(HEADER.unpack_from(data)[3]))
            return
        length, _, flags, sequence, _ = HEADER.unpack_from(data, len(data) - 164)
        assert length == 164 and flags & 4, "the last asks for an acknowledgement"
        self.answers.append(error(sequence))

    def receive(self, timeout: float) -> bytes:
        return self.answers.popleft()

    def proc(self, name: str) -> Iterable[str]:
        return []

    def close(self) -> None:
        pass


# --- sources ---------------------------------------------------------------------------------------------------------


def test_text_loads_what_its_lines_say(connect: Callable[[], IPVS]) -> None:
    """A load of text is the table that the grammar's rules make one by one; str, bytes and files are the same."""
    from ipvsnl.text.grammar import read_rules

    ipvs = connect()
    for rule in read_rules(MIXED.decode().splitlines()):
        if rule.destination is None:
            ipvs.add_service(rule.service)
        else:
            ipvs.add_server(rule.service, rule.destination)
    wanted = ipvs.snapshot()
    for source in (MIXED, MIXED.decode(), io.BytesIO(MIXED), io.StringIO(MIXED.decode()), memoryview(MIXED)):
        ipvs.flush()
        assert ipvs.load(source).changes == 24
        assert sorted(map(str, ipvs.snapshot())) == sorted(map(str, wanted))


def test_a_load_in_pieces_is_the_same(ipvs: IPVS) -> None:
    """Text cut anywhere loads the same, and lines keep their numbers."""

    class Cut(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            return self.read(37)

    text = MIXED + b"# a comment\n\n" + MIXED[: MIXED.index(b"\n") + 1] + b"-D -t 203.0.113.1:80"
    assert refused(lambda: ipvs.load(Cut(text))) == [(27, errno.EEXIST)]
    whole = ipvs.snapshot()
    ipvs.flush()
    assert refused(lambda: ipvs.load(text)) == [(27, errno.EEXIST)]
    assert ipvs.snapshot() == whole


def test_lines_that_are_not_plain(ipvs: IPVS) -> None:
    """The grammar reads every other spelling, in its place; a line that is no rule is an error that names it."""
    text = "--add-service -t 10.1:80 --scheduler lc\n-a -t 10.0.0.1:80 -r 10.2 -m\n-A -t 10.0.0.1:81 -s rr\n"
    assert ipvs.load(text).changes == 3
    assert [str(entry.service) for entry in ipvs.snapshot() if entry.destinations] == ["TCP 10.0.0.1:80"]
    ipvs.flush()
    with pytest.raises(RuleError, match=r"line 2: -L: 'list' is no rule"):
        ipvs.load("-A -t 10.0.0.1:80 -s rr\n-L\n" + text)
    with pytest.raises(RuleError, match="line 1: "):
        ipvs.load("-A -t 10.0.0.1:99999 -s rr\n")


# --- asking the kernel for less --------------------------------------------------------------------------------------


@pytest.mark.parametrize("put_off", [None, {}, {"mh": 3}])
def test_a_scheduler_that_was_put_off_is_there_in_the_end(ipvs: IPVS, put_off: dict[str, int] | None) -> None:
    """Flags, persistence and scheduler are as the line says; the report counts lines."""
    few = (put_off if put_off is not None else PUT_OFF).get("mh", 5)
    text = farm(few + 1).replace("-s mh", "-s mh -p 60 -b mh-port") + farm(few).replace("192.0.2.1", "192.0.2.2")
    assert ipvs.load(text, put_off=put_off).changes == 2 * few + 3
    services = {status.service.address: status.service for status in ipvs.services()}
    assert services["192.0.2.1"] == FARM.replace(persistence=60, flags=0x10)
    assert services["192.0.2.2"] == FARM.replace(address="192.0.2.2")


@pytest.mark.parametrize("backend", ["", "ctypes"])
def test_what_follows_sees_the_scheduler_that_was_named(
    connect: Callable[[], IPVS], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit, a deletion or a second definition in the same text comes after the switch, not before it; without C, too."""
    monkeypatch.setenv("IPVSNL_BACKEND", backend or os.environ.get("IPVSNL_BACKEND", ""))
    ipvs = connect()
    many = farm(4)
    ipvs.load(many + "-E -t 192.0.2.1:80 -s lc\n", put_off={"mh": 3})
    assert ipvs.services()[0].service.scheduler == "lc"
    ipvs.load(many.replace(".1:80", ".9:80") + "-D -t 192.0.2.9:80\n", put_off={"mh": 3})
    assert len(ipvs.services()) == 1


def test_an_existing_service_keeps_its_scheduler(ipvs: IPVS) -> None:
    """A refused service is not switched: only what the load itself created is."""
    ipvs.add_service(WEB)
    found = refused(lambda: ipvs.load(farm(4), put_off={"mh": 3}))
    assert found == [(1, errno.EEXIST)]
    ipvs.add_service(WEB.replace(address="192.0.2.7"))
    both = farm(4).replace("192.0.2.1", "192.0.2.8") + farm(4).replace("192.0.2.1", "192.0.2.7")
    assert refused(lambda: ipvs.load(both, put_off={"mh": 3})) == [(6, errno.EEXIST)]
    kept = {status.service.address: status.service.scheduler for status in ipvs.services()}
    assert kept == {"192.0.2.1": "rr", "192.0.2.7": "rr", "192.0.2.8": "mh"}


def test_a_scheduler_that_is_not_there_is_refused_where_it_is_named(ipvs: IPVS) -> None:
    """As without putting off: the service is refused, and so are its servers."""
    found = refused(lambda: ipvs.load(farm(4, "nosuch"), put_off={"nosuch": 3}))
    assert found == [(1, errno.ENOENT)] + [(line, errno.ESRCH) for line in range(2, 6)]
    assert ipvs.services() == []


def test_a_reload_is_the_table_of_the_text(ipvs: IPVS) -> None:
    """Whatever was there is gone; what the text says is there."""
    ipvs.load(farm(9) + "-A -f 9 -s rr\n-A -u [::1]:5 -s sh -b sh-port\n-A -f 3000000000 -s wlc -p 60\n")
    assert ipvs.reload(MIXED).changes == 24
    wanted = ipvs.snapshot()
    ipvs.reload(MIXED)
    assert sorted(map(str, ipvs.snapshot())) == sorted(map(str, wanted))


def deletions(ipvs: IPVS, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Notes the deletions and additions of services that are sent from now on: command and port."""
    noted: list[tuple[int, int]] = []

    transfer = Conversation.transfer

    def listening(talk: Conversation, requests: memoryview, *rest: Any) -> Any:
        datagram, backend = bytes(requests), talk.backend
        for *_, start, end in backend.split(datagram):
            if datagram[start] in (Command.NEW_SERVICE, Command.DEL_SERVICE):
                status = records.read_service(backend.decode("service", datagram, start, end))
                noted.append((datagram[start], status.service.port))
        return transfer(talk, requests, *rest)

    monkeypatch.setattr(Conversation, "transfer", listening)
    return noted


def plain(*ports: int) -> str:
    return "".join(f"-A -t 10.0.0.1:{port} -s rr\n" for port in ports)


def test_a_reload_deletes_against_the_order_of_the_text(ipvs: IPVS, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is deleted last is looked for first; what does not come back goes when all is there again."""
    ipvs.load(plain(5, 3, 9, 7, 8))
    noted = deletions(ipvs, monkeypatch)
    ipvs.reload(plain(3, 4, 9, 5))
    new, gone = Command.NEW_SERVICE, Command.DEL_SERVICE
    assert noted[:8] == [(gone, 5), (gone, 9), (gone, 4), (gone, 3), (new, 3), (new, 4), (new, 9), (new, 5)]
    assert sorted(noted[8:]) == [(gone, 7), (gone, 8)]
    assert sorted(status.service.port for status in ipvs.services()) == [3, 4, 5, 9]


@pytest.mark.parametrize(
    "text",
    [
        plain(3) + "-E -t 10.0.0.1:7 -s wrr\n",  # it is about a service that the text does not add
        plain(3) + " -A -t 10.0.0.1:7 -s rr\n",  # not where additions are looked for
        plain(3) + "-A -t 10.0.0.1:7 -p 60 -s rr\n",  # no words to delete by
        plain(3) + "-A\t-t 10.0.0.1:7 -s rr\n",
        plain(3) + "-A -t 10.0.0.1:07 -s rr\n",
        plain(3) + "-A -t 10.0.0.1:7  -s rr\n",
        plain(3) + "--add-service --tcp-service 10.0.0.1:7\n",  # for the grammar to read
        plain(3, 7)[:-1],
        plain(3, 7) + plain(3),
    ],
)
def test_a_reload_is_a_flush_and_a_load_whatever_the_text_says(ipvs: IPVS, text: str) -> None:
    """The same table, and the same refusals by line, as after ``-C``; whichever order is had on the way."""

    def outcome(how: Any) -> tuple[list[str], list[tuple[object, int | None]]]:
        refusals: list[tuple[object, int | None]] = []
        try:
            how(text)
        except BatchError as error:
            refusals = [(one.tag, one.errno) for one in error.refused]
        return sorted(map(str, ipvs.snapshot())), refusals

    before = plain(5, 3, 7) + "-a -t 10.0.0.1:7 -r 10.0.0.9:7 -m -w 1\n"
    ipvs.load(before)
    ipvs.flush()
    wanted = outcome(ipvs.load)
    ipvs.flush()
    ipvs.load(before)
    assert outcome(ipvs.reload) == wanted


def test_a_reload_of_a_text_that_is_none_deletes_nothing(ipvs: IPVS) -> None:
    """It is read to its end before anything is changed."""
    ipvs.load(plain(5, 3))
    with pytest.raises(RuleError, match="line 3"):
        ipvs.reload(plain(5, 4) + "-A -t nothing\n")
    assert sorted(status.service.port for status in ipvs.services()) == [3, 5]


# --- faults ----------------------------------------------------------------------------------------------------------


def test_one_bad_rule_among_a_hundred_thousand(ipvs: IPVS) -> None:
    """It is named by its line, with its service; all others are loaded."""
    text = lzma.decompress((RULES / "cluster-100k.rules.xz").read_bytes())
    middle = text.index(b"\n-A", len(text) // 2) + 1
    number = text.count(b"\n", 0, middle) + 1
    bad = text[:middle] + b"-a -t 192.0.2.99:1 -r 10.0.0.1:1 -m -w 1\n" + text[middle:]
    with pytest.raises(BatchError) as caught:
        ipvs.load(bad)
    (one,) = caught.value.refused
    assert (one.tag, one.errno, one.command) == (number, errno.ESRCH, Command.NEW_DEST)
    assert str(one.service) == "TCP 192.0.2.99:1" and str(one.destination) == "-> 10.0.0.1:1"
    assert len(ipvs.snapshot()) + len(ipvs.snapshot().columns().servers) == 100_000


def test_ten_thousand_bad_rules_are_all_named(ipvs: IPVS) -> None:
    """No refusal is lost, however many there are, and each is of its line."""
    text = "-A -f 1 -s rr\n" * 3 + "".join(f"-D -f {mark}\n" for mark in range(10, 10_010))
    found = refused(lambda: ipvs.load(text))
    assert found[:2] == [(2, errno.EEXIST), (3, errno.EEXIST)]
    assert found[2:] == [(number, errno.ESRCH) for number in range(4, 10_004)]


def test_an_awkward_kernel_changes_nothing(connect: Callable[[], IPVS]) -> None:
    """Answers split to single messages, with others' in between."""
    ipvs = connect()
    ipvs._conversation.link = Splitting(ipvs._conversation.link)
    assert ipvs.load(MIXED).changes == 24
    assert refused(lambda: ipvs.load(MIXED))[5] == (6, errno.EEXIST)
    assert len(ipvs.snapshot().columns().services) == len(ipvs.services())


def test_the_portable_backend_loads_the_same(connect: Callable[[], IPVS], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the C: the same table, the same refusals."""
    ipvs = connect()
    text = MIXED + farm(5).encode() + MIXED[:500]
    found = refused(lambda: ipvs.load(text, put_off={"mh": 3}))
    table = ipvs.snapshot()
    ipvs.flush()
    from ipvsnl.backends import ctypes_

    monkeypatch.setattr(ipvs._conversation, "backend", ctypes_)
    assert refused(lambda: ipvs.load(text, put_off={"mh": 3})) == found
    assert sorted(map(str, ipvs.snapshot())) == sorted(map(str, table))


@pytest.mark.skipif(ON_THE_KERNEL, reason="the simulated kernel's queue is made small")
def test_an_overrun_queue_is_not_taken_for_success() -> None:
    """Where refusals were lost, what is known is kept and the loss is an error: ENOBUFS."""
    from ipvssim import Kernel

    ipvs = Kernel().connect(rcvbuf=8000, ext_ack=False)
    load = ipvs.loading()
    with pytest.raises(LinkError) as lost:
        for mark in range(1, 101):
            load.delete_service(Service(fwmark=mark), tag=mark)
        load.send()
    assert lost.value.errno == errno.ENOBUFS
    assert [one.tag for one in load.refused] == list(range(1, len(load.refused) + 1)) and load.refused


@pytest.mark.skipif(ON_THE_KERNEL, reason="no kernel is asked, and the laboratory's has little memory for files")
def test_a_million_rules_in_constant_memory(tmp_path: Path) -> None:
    """Text is read, encoded and sent in pieces: no more is held for a million rules than for ten thousand.

    Without the C core it is a tenth of them, since each takes far longer.
    """
    rules = 1_000_000 if BUILT else 100_000

    class Million(io.RawIOBase):
        line = b"-a -t 10.0.0.1:80 -r 10.1.2.3:80 -m -w 1\n"
        left = rules

        def read1(self, size: int = -1) -> bytes:
            lines = min(self.left, 25_000)
            self.left -= lines
            return self.line * lines

        read = read1

    encoded = tmp_path / "encoded"
    with encoded.open("wb") as file:
        ipvs = IPVS(Accepting(file))
        tracemalloc.start()
        try:
            assert ipvs.load(Million()).changes == rules
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 << 20
    asked = encoded.stat().st_size - 164 * rules
    assert 0 < asked < 100  # for the family
    encoded.unlink()
