"""Records the netlink vectors afresh: each in a process and a network namespace of its own, inside the laboratory.

The normalisation of what varies (family id, port id) and the keys of a vector are those of
``tests/data/netlink-vectors.jsonl``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from netlink_guest import CLONE_NEWNET, enter_network, exchange, hash_key, opened, unshare  # noqa: E402
from netlink_scripts import FAMILY, attribute  # noqa: E402
from recorder import family_id  # noqa: E402

CLONE_NEWUSER, NOBODY, RECEIVE = 0x10000000, 65534, 65536
DAEMON_REST = 0.4  # seconds: what the recorded answers about daemons were given


def ask(vector: dict[str, Any], link: Any, family: int) -> dict[str, Any]:
    """The vector's own request, with the privilege it has, on the socket it has."""
    if vector["privilege"] == "userns_root":
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
    elif vector["privilege"] == "none":
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if vector["privilege"] != "root":
        link = opened(vector)
    named = attribute(1, family.to_bytes(2, "little")), attribute(1, FAMILY.to_bytes(2, "little"))
    request = bytes.fromhex(vector["request"]).replace(named[1], named[0])
    replies, errors = exchange(link, request, family, RECEIVE)
    return {"replies": [reply.replace(named[0].hex(), named[1].hex()) for reply in replies], "recv_errors": errors}


def record(vector: dict[str, Any]) -> dict[str, Any]:
    """What the running kernel answers to one vector, in this process: use one process for each."""
    enter_network()
    with opened({"cap_ack": 0, "ext_ack": 0}) as measuring:
        family = family_id(measuring)
        key = hash_key(measuring, family)
    link = opened(vector)
    for step in map(bytes.fromhex, vector["setup"]):
        exchange(link, step, family, RECEIVE)
        if step[16:17] in (b"\x09", b"\x0a"):
            time.sleep(DAEMON_REST)
    return ask(vector, link, family) | {"hash_key": key}


def record_apart(vector: dict[str, Any]) -> dict[str, Any]:
    """:func:`record` in a child of its own."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
            answer: dict[str, Any] = record(vector)
        except BaseException as wrong:
            answer = {"failed": repr(wrong)}
        with open(write, "w") as out:
            json.dump(answer, out)
        os._exit(0)
    os.close(write)
    with open(read) as answers:
        answer = json.load(answers)
    os.waitpid(child, 0)
    return answer
