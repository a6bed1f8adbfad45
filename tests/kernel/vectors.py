"""Asks the netlink vectors afresh: each in a process and a network namespace of its own, inside the laboratory.

The normalisation of what varies (family id, port id) and the keys of a vector are those of
``tests/data/netlink-vectors.jsonl``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.kernel.netlink_guest import CLONE_NEWNET, enter_network, exchange, hash_key, opened, unshare
from tests.kernel.netlink_scripts import FAMILY, attribute, message
from tests.kernel.recorder import family_id

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


def record(vector: dict[str, Any]) -> None:
    """Prints what the running kernel answers to one vector; leaves no service behind. Use one process for each.

    A dump counts the services of every namespace to know where it stopped (ip_vs_genl_dump_services, 6.1.176): others'
    services move the place at which it goes on. So the table is emptied here, and not when the namespace is taken apart,
    by the process that still may after the one that asks has given its privilege away.
    """
    enter_network()
    with opened({"cap_ack": 0, "ext_ack": 0}) as own:
        family = family_id(own)
        key = hash_key(own, family)
        link = opened(vector)
        for step in map(bytes.fromhex, vector["setup"]):
            exchange(link, step, family, RECEIVE)
            if step[16:17] in (b"\x09", b"\x0a"):
                time.sleep(DAEMON_REST)
        in_own_process(lambda: ask(vector, link, family) | {"hash_key": key})
        exchange(own, message(17, b""), family, RECEIVE)


def in_own_process(asked: Callable[[], dict[str, Any]]) -> None:
    """Prints the answer, or why there is none, as one line of JSON. A small process forks cheaply here."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            answer = asked()
        except BaseException as wrong:
            answer = {"failed": repr(wrong)}
        print(json.dumps(answer), flush=True)
        os._exit(0)
    os.waitpid(child, 0)


def main() -> None:
    """Vectors on standard input, one JSON a line; their answers on standard output."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            record(json.loads(line))
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit(f"not asked: {line[:200]}")


if __name__ == "__main__":
    main()
