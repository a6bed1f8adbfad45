"""Random conversations with the netlink family of the running kernel, and the same with the simulated one."""

from __future__ import annotations

import errno
import os
import secrets
from typing import Any

import pytest

from ipvssim.net.networks import vectors_network
from ipvssim.netlink.socket import NetlinkSocket
from ipvssim.state.namespace import Namespace
from tests.kernel.asked import recorded
from tests.kernel.netlink_guest import renumber_requests
from tests.kernel.netlink_scripts import FAMILY, scripts
from tests.kernel.recorder import renumber

SEED = int(os.environ.get("IPVSNL_SEED") or secrets.randbelow(1 << 32))
SCRIPTS, SENDS = int(os.environ.get("IPVSNL_SCRIPTS") or 20), 60
PORT = 0xBEEF


def simulated(script: dict[str, Any], hash_key: int, family: int) -> list[list[list[str]]]:
    """What the simulated kernel answers, in the form of netlink_guest.py; its family has the real one's number, which may
    stand anywhere in a spoilt request."""
    namespace = Namespace(network=vectors_network(), padding=True, hash_key=hash_key)
    options = {"port": PORT, "cap_ack": script["cap_ack"], "ext_ack": script["ext_ack"], "family_id": family}
    socket = NetlinkSocket(namespace, **options)
    answers = []
    for data in script["sends"]:
        socket.send(renumber_requests(bytes.fromhex(data), family))
        replies: list[str] = []
        errors: list[str] = []
        while True:
            try:
                replies.append(renumber(socket.recv(script["receive"]), family, FAMILY, PORT).hex())
            except BlockingIOError:
                break
            except OSError as wrong:
                errors.append(errno.errorcode[wrong.errno or 0])
        answers.append([replies, errors])
    return answers


@pytest.mark.kernel
def test_random_conversations_end_alike() -> None:
    """Every datagram and every receive error of thousands of sends, well-formed and not, is the kernel's."""
    chosen = scripts(SEED, SCRIPTS, SENDS)
    answers = recorded("tests.kernel.netlink_guest", chosen)
    for number, (script, answer) in enumerate(zip(chosen, answers, strict=True)):
        ours = simulated(script, answer["hash_key"], answer["family"])
        for send, (theirs, mine) in enumerate(zip(answer["answers"], ours, strict=True)):
            assert mine == theirs, f"IPVSNL_SEED={SEED} script {number} send {send}: {script['sends'][send]}"
