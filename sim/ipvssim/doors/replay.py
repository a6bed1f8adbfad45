"""Replays traces on the simulator: ``python -m ipvssim.doors.replay [--clock | --check] [FILE.kernel] FILE.trace ...``

A trace is a script of what an administrator and a network do to one director (docs/use/simulator.md has the format). Answers
go to standard output, one JSON object a line; with ``--check`` only where they differ from a recording.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from errno import EINVAL
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim.behaviours import Release, resolve
from ipvssim.clock import HZ, NEVER, SECOND
from ipvssim.doors import debug_option, kernel_options
from ipvssim.doors.compare import differences
from ipvssim.doors.traces import (
    ReplayError,
    check_answer,
    check_header,
    check_recording,
    check_step,
    explained,
    flooded,
    read,
)
from ipvssim.kernel import Kernel
from ipvssim.net.networks import trace_network
from ipvssim.net.pieces import SMALL_HEAD, USER_MODE_HEAD
from ipvssim.netlink.socket import BUFFER
from ipvssim.path.result import Result
from ipvssim.path.sockets import Sockets
from ipvssim.state.namespace import RELEASE
from ipvssim.state.tracking_sysctls import PREFIX as TRACKING

STATISTICS = 2.2
"""Seconds that a ``stats`` step waits: more than an estimator tick."""
PORT = 0xBEEF
FAMILY_ID = 0xFFFF
"""How a ``netlink`` step writes the family's number."""
ORDINARY_HZ = 250
"""Of Debian's ordinary kernels."""
USER_MODE = "uml"
"""The machine of a recording that does not say on which it was made."""
SAME, DIFFERENT, FAILED = 0, 1, 2
NOTHING_SAID: Final[Mapping[str, Any]] = {}
"""Of a recording: it is of user-mode-linux then."""
_RECEIVE = 65536
_COLUMNS = ("proto", "client", "cport", "virtual", "vport", "dest", "dport", "state", "expires")
_REST, _RESTED = 25_000, ("ipvsadm", "packet", "sysctl", "netlink")
"""Microseconds that a recorder of the log waits after such a step: what falls due by then is told with it."""
_FRAGMENTS = {
    "net.ipv4.ipfrag_max_dist": ("max_dist", AF_INET),
    "net.ipv4.ipfrag_low_thresh": ("low_thresh", AF_INET),
    "net.ipv4.ipfrag_high_thresh": ("high_thresh", AF_INET),
    "net.netfilter.nf_conntrack_frag6_low_thresh": ("low_thresh", AF_INET6),
    "net.netfilter.nf_conntrack_frag6_high_thresh": ("high_thresh", AF_INET6),
}
"""The limits of reassembly: which, and of which family."""
_FORWARDING = {"net.ipv4.ip_forward": AF_INET, "net.ipv6.conf.all.forwarding": AF_INET6}


class Replay:
    """One director that answers the steps of one trace. ``header`` is the trace's first line; with ``explain`` the answer to
    a packet has its way besides; ``about`` is what a recording says of itself."""

    def __init__(
        self,
        header: dict[str, Any],
        release: str | Release = RELEASE,
        *,
        explain: bool = False,
        about: Mapping[str, Any] = NOTHING_SAID,
    ) -> None:
        check_header(header)
        network = trace_network(header.get("servers4", 16), header.get("servers6", 4), header.get("marks", ()))
        kernel = release if isinstance(release, Release) else resolve(release)
        # as user-mode-linux: it ceased to pad between 6.12 and 7.2
        padding = about.get("padding", not kernel.behaviours.tables_grow)
        user_mode = about.get("machine", USER_MODE) == USER_MODE
        hz = about.get("hz", HZ if user_mode else ORDINARY_HZ)
        uptime, self._began = _times(about)
        self.kernel = Kernel(
            network=network, release=kernel, padding=padding, debug_level=header.get("debug_level"),
            modules=header.get("modules", ()),
            small_head=USER_MODE_HEAD if user_mode else SMALL_HEAD, smp=not user_mode, uptime=uptime,
            hz=hz,
        )  # fmt: skip
        self.director = self.kernel.director
        self.director.explaining = explain
        self._clock = self.kernel.clock
        self._steps: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "ipvsadm": self._ipvsadm,
            "packet": self._packet,
            "flood": self._flood,
            "sleep": self._sleep,
            "sysctl": self._sysctl,
            "conns": self._conns,
            "stats": self._stats,
            "netlink": self._netlink,
        }
        self._lasted = 0
        self._until: float | None = None
        self._sockets = Sockets(self.director)
        for protocol, port in header.get("listening", ()):
            self._sockets.open(protocol, port)
        for name, value in header.get("sysctl", {}).items():
            if self._sysctl({"name": name, "value": value}):
                raise ReplayError(f"the header's {name!r} is refused")

    def answer(
        self, step: dict[str, Any], at: float | None = None, lasted: float = 0, until: float | None = None
    ) -> dict[str, Any]:
        """The answer to one step, met ``at`` seconds after the trace began (None: now). A flood ``lasted`` so many seconds.
        Who recorded a packet looked at what left ``until`` so many seconds after the trace began: where timers are those of
        the kernel, what they send by then is told, too.
        ReplayError where it has none."""
        check_step(step)
        self._lasted = round(lasted * SECOND)
        self._until = until if self._clock.born != NEVER else None
        if at is not None:
            self._clock.advance_to(self._began + round(at * SECOND))
        try:
            answer = self._steps[step["do"]](step)
        except Exception as wrong:
            raise explained(wrong) from wrong
        if self.kernel.namespace.log is not None:
            if step["do"] in _RESTED:
                self._clock.advance(_REST)
            answer["log"] = [f"<{line.severity}>{line.text}" for line in self.kernel.log]
            self.kernel.log.clear()
        return answer

    def _ipvsadm(self, step: dict[str, Any]) -> dict[str, Any]:
        done = self.kernel.ipvsadm(*step["args"], stdin=step.get("stdin", ""))
        return {"rc": done.status, "stdout": done.stdout, "stderr": done.stderr}

    def _packet(self, step: dict[str, Any]) -> dict[str, Any]:
        devices, mark = self.kernel.network.devices, step.get("mark", 0)
        if step["on"] not in devices:
            raise ReplayError(f"there is no device {step['on']!r}")
        own = f"mark{mark}"
        on = own if mark and step["on"] == "client" and own in devices else step["on"]
        result = self.director.receive(bytes.fromhex(step["hex"]), on, mark)
        if result.local:
            self._sockets.answer(result)
        sent, to_itself = self._sent_meanwhile()
        out = [{"on": device, "hex": data.hex()} for device, data in (*result.out, *sent)]
        answer: dict[str, Any] = {"out": out}
        if result.local or to_itself:
            answer["local"] = True
        if self.director.explaining:
            answer["explain"] = result.explain()
        return answer

    def _sent_meanwhile(self) -> tuple[list[tuple[str, bytes]], bool]:
        """What the host sends by itself while who recorded a packet looks at what leaves, and whether any of it was to the
        host. He takes one packet from each device in turn, and at a jiffy several may leave at once."""
        if self._until is None:
            return [], False
        sent: list[tuple[int, Result]] = []
        self.director.unprompted = lambda result: sent.append((self._clock.slot, result))
        self._clock.advance_to(self._began + round(self._until * SECOND))
        self.director.unprompted = None
        found: list[tuple[str, bytes]] = []
        for _, at_once in groupby(sent, lambda one: one[0]):
            out = [frame for _, result in at_once for frame in result.out]
            queues = [[frame for frame in out if frame[0] == name] for name in self.kernel.network.devices]
            found += [frame for turn in zip_longest(*queues) for frame in turn if frame is not None]
        return found, any(result.local for _, result in sent)

    def _flood(self, step: dict[str, Any]) -> dict[str, Any]:
        left, began = 0, self._clock.now
        for number, data in enumerate(flooded(bytes.fromhex(step["hex"]), step["count"])):
            self._clock.advance_to(began + self._lasted * number // step["count"])
            left += len(self.director.receive(data, "client", step.get("mark", 0)).out)
        return {"left": left}

    def _sleep(self, step: dict[str, Any]) -> dict[str, Any]:
        self._clock.advance(round(step["seconds"] * SECOND))
        return {}

    def _sysctl(self, step: dict[str, Any]) -> dict[str, Any]:
        if step["name"] in _FORWARDING:
            self.kernel.network.forward(_FORWARDING[step["name"]], on=bool(int(step["value"])))
            return {}
        if step["name"] == "net.ipv4.ip_unprivileged_port_start":
            self.director.unprivileged_port_start = int(step["value"])
            return {}
        if step["name"] in _FRAGMENTS:
            return self._bound(*_FRAGMENTS[step["name"]], int(step["value"]))
        if not step["name"].startswith(("net.ipv4.vs.", TRACKING)):
            raise ReplayError(f"the simulator has no {step['name']!r}")
        try:
            self.kernel.namespace.write_sysctl(step["name"], step["value"])
        except OSError as refused:
            return {"errno": refused.errno}
        return {}

    def _bound(self, variable: str, family: int, value: int) -> dict[str, Any]:
        """A limit of reassembly; a threshold must not cross its twin."""
        reassembler = self.director.reassembler
        if variable == "max_dist":
            if value < 0:
                return {"errno": EINVAL}
            reassembler.max_dist = value
            return {}
        low, high = reassembler.low_thresh, reassembler.high_thresh
        if value < 0 or (value > high[family] if variable == "low_thresh" else value < low[family]):
            return {"errno": EINVAL}
        (low if variable == "low_thresh" else high)[family] = value
        return {}

    def _conns(self, _: dict[str, Any]) -> dict[str, Any]:
        rows = [{name: row[name] for name in _COLUMNS} for row in map(dict, self.director.connections())]
        return {"conns": sorted(rows, key=lambda row: [*map(str, row.values())])}

    def _stats(self, _: dict[str, Any]) -> dict[str, Any]:
        self._clock.advance(round(STATISTICS * SECOND))
        return {"stdout": self._ipvsadm({"args": ["-Ln", "--stats", "--exact"]})["stdout"]}

    def _netlink(self, step: dict[str, Any]) -> dict[str, Any]:
        socket = self.kernel.socket(port=PORT, family_id=FAMILY_ID, cap_ack=False, ext_ack=False, sndbuf=BUFFER)
        socket.send(bytes.fromhex(step["hex"]))
        replies = []
        while True:
            try:
                replies.append(socket.recv(_RECEIVE).hex())
            except BlockingIOError:
                return {"replies": replies}
            except OSError:  # some were lost; the others follow
                continue


# --- the command ---


class Job(NamedTuple):
    """A trace, and the recording beside it where one is wanted."""

    trace: Path
    recording: Path | None


def jobs(files: Sequence[str], *, recorded: bool) -> Iterator[Job]:
    """The traces among ``files``; a recording is the ``.kernel`` file named before its trace, else the one beside it."""
    named: Path | None = None
    for path in map(Path, files):
        if path.suffix == ".kernel" and recorded:
            named = path
        else:
            yield Job(path, (named or path.with_suffix(".kernel")) if recorded else None)
            named = None


def replay(
    job: Job, *, check: bool, out: TextIO, release: str | Release | None = None, explain: bool = False,
    debug_level: int | None = None,
) -> int:  # fmt: skip
    """Replay one trace and write its answers, or with ``check`` the differences; the exit status that it deserves.
    ``release`` is that of the recording, or 6.1.176, where it is not said; ``debug_level`` is taken where the trace's header
    has none. ReplayError names the file, the step and the cause."""
    header, *steps = read(job.trace) or [{}]
    recording = read(job.recording) if job.recording is not None else []
    about = recording.pop(0) if recording and "recording" in recording[0] else {}
    if job.recording is not None and len(recording) != len(steps):
        raise ReplayError(f"{job.recording}: {len(recording)} answers to {len(steps)} steps")
    tells_local = any("local" in answer for answer in recording)
    if job.recording is not None:
        with _named(job.recording):
            check_recording(about)
    with _named(job.trace):
        if "trace" not in header:
            raise ReplayError("not a trace of version 1")
        if debug_level is not None and not check:
            header.setdefault("debug_level", debug_level)
        director = Replay(
            header,
            release or about.get("release", RELEASE),
            explain=explain,
            about=about,
        )
    status = SAME
    for number, step in enumerate(steps):
        recorded = recording[number] if recording else {}
        if job.recording is not None:
            with _named(job.recording, number):
                check_answer(recorded)
        with _named(job.trace, number):
            times = recorded.get("at"), recorded.get("lasted", 0), recorded.get("until")
            answer = director.answer(step, *times)
        if not check:
            out.write(json.dumps(answer) + "\n")
            continue
        way = {"explain": answer.pop("explain")} if "explain" in answer else {}
        with _named(job.recording or job.trace, number):
            found = list(differences(step, recorded, answer, tells_local=tells_local))
        for what, kernel, simulator in found:
            status = DIFFERENT
            row = {"trace": job.trace.stem, "step": number, "what": what, "kernel": kernel, "simulator": simulator}
            out.write(json.dumps(row | way) + "\n")
    return status


def _times(about: Mapping[str, Any]) -> tuple[float | None, int]:
    """How long the kernel had been up at time 0 of the simulator's clock, in seconds (whole jiffies), and the time of the
    first step, in microseconds; None and 0 where the recording does not say."""
    if "born" not in about or "began" not in about:
        return None, 0
    jiffy = SECOND // about.get("hz", HZ)
    born = round(about["born"] * SECOND) // jiffy * jiffy
    return born / SECOND, round(about["began"] * SECOND) - born


@contextmanager
def _named(path: Path, number: int | None = None) -> Iterator[None]:
    """Whatever goes wrong inside is told with the file, and the step where it is one."""
    try:
        yield
    except Exception as wrong:
        place = f"{path}: step {number}" if number is not None else str(path)
        raise ReplayError(f"{place}: {explained(wrong)}") from wrong


def parser() -> argparse.ArgumentParser:
    """What reads the arguments."""
    parser = argparse.ArgumentParser(prog="ipvssim replay", description="Replay traces on the simulator.")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--clock", action="store_true", help="take the time of each step from a recording")
    way.add_argument("--check", action="store_true", help="likewise, and print only the steps that differ from it")
    parser.add_argument(
        "--kernel", metavar="RELEASE", help=f"behave as that kernel (default: as the recording says, or {RELEASE})"
    )
    parser.add_argument("--explain", action="store_true", help="tell every packet's way in its answer")
    debug_option.add(parser, "in each answer")
    parser.add_argument("files", nargs="+", metavar="FILE", help="X.trace, or X.kernel X.trace (default: beside it)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status is 0, 1 where answers differ, 2 where something can't be replayed."""
    chosen = parser().parse_args(arguments)
    try:
        release = kernel_options.release(chosen.kernel) if chosen.kernel else None
    except ValueError as wrong:
        print(f"ipvssim replay: {wrong}", file=sys.stderr)
        return FAILED
    worst = SAME
    for job in jobs(chosen.files, recorded=chosen.clock or chosen.check):
        try:
            status = replay(
                job, check=chosen.check, release=release, out=sys.stdout, explain=chosen.explain,
                debug_level=chosen.debug_level,
            )  # fmt: skip
        except (ReplayError, ValueError) as wrong:
            print(f"ipvssim replay: {wrong}", file=sys.stderr)
            status = FAILED
        worst = max(worst, status)
    return worst


if __name__ == "__main__":
    sys.exit(main())
