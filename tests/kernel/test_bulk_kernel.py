"""Loads on the real kernel, in its laboratory: what only its socket can do."""

from __future__ import annotations

import errno
import socket

import pytest

from ipvsnl.client import IPVS
from ipvsnl.errors import LinkError
from ipvsnl.link.kernel import KernelLink
from ipvsnl.model import Service
from tests.conftest import ON_THE_KERNEL, enter_fresh_namespace
from tests.ipvsnl.twins import native

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(not ON_THE_KERNEL, reason="needs the kernel laboratory")]


@pytest.fixture
def link() -> KernelLink:
    enter_fresh_namespace()
    return KernelLink()


def test_the_queue_holds_what_is_counted_on(link: KernelLink) -> None:
    """As many refusals as widen() says fit: none of them is lost, in one send."""
    most = link.widen()
    load = IPVS(link).loading()
    load._most = most
    load._room = bytearray(most * 60)
    load._origins = memoryview(bytearray(16 * most)).cast("Q")
    for mark in range(1, most + 1):
        load.delete_service(Service(fwmark=mark), tag=mark)
    load.send()
    assert [one.tag for one in load.refused] == list(range(1, most + 1)) and most > 1000


def test_an_overrun_queue_is_not_taken_for_success(link: KernelLink) -> None:
    """More refusals than the queue holds: what is known is kept, and the loss is an error."""
    load = IPVS(link).loading()
    link._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
    with pytest.raises(LinkError) as lost:
        for mark in range(1, 501):
            load.delete_service(Service(fwmark=mark), tag=mark)
        load.send()
    assert lost.value.errno == errno.ENOBUFS
    assert 0 < len(load.refused) < 500
    assert [one.tag for one in load.refused] == list(range(1, len(load.refused) + 1))
    assert load.refused[0].errno == errno.ESRCH


def test_a_send_that_is_too_long_was_not_executed(link: KernelLink) -> None:
    """EMSGSIZE: the requests were not sent, and the table is as it was."""
    ipvs = IPVS(link)
    one = native.encode(ipvs._conversation.family, 17, 5, 9)
    refusals, sent, trouble = native.converse(link.descriptor or 0, one * 100_000, 9, 9, 1, 1.0)
    assert (refusals, sent) == ([], False)
    assert isinstance(trouble, LinkError) and trouble.errno == errno.EMSGSIZE
    assert ipvs.info().version == (1, 2, 1)
