"""Replays traces by the express lane: each packet of a trace is a batch.

    python -m tests.ipvssim.lane.by_lane [--kernel RELEASE] --check FILE.trace ...

takes what `ipvssim replay` takes, and ends as it does.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

from ipvssim.doors.replay import main
from ipvssim.lane import Lane, compiled, receive_many
from ipvssim.path.director import Director
from ipvssim.path.result import Result

KINDS = ("general", "known", "opened", "reply")


def by_lane(replace: Callable[[object, str, object], None] = setattr) -> Counter[str]:
    """From now on every packet that comes to a director goes through a lane of its own; how many of each kind there were.
    ``replace`` puts it there."""
    lanes: dict[Director, Lane] = {}
    receive, kinds, inside = Director.receive, Counter[str](), [False]

    def through(director: Director, data: bytes, on: str = "client", mark: int = 0) -> Result:
        if inside[0] or mark:
            return receive(director, data, on, mark)
        lane = lanes.setdefault(director, Lane(director, lambda data, on: receive(director, data, on or "client")))
        inside[0] = True
        try:
            batch = receive_many(lane, [data], on)
        finally:
            inside[0] = False
        kinds[KINDS[batch.kinds[0]]] += 1
        result: Result = batch[0]
        return result

    replace(Director, "receive", through)
    return kinds


if __name__ == "__main__":
    if not compiled:
        sys.exit("the express lane's C was not built")
    by_lane()
    sys.exit(main(sys.argv[1:]))
