"""The commands that write, and what holds after each was ended: all is as before it, or as after it, and as it says."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ipvsnl.cli import main as program
from ipvsnl.cli.ending import INTERRUPTED
from ipvsnl.client import open as open_ipvs
from ipvssim import command as simulator
from ipvssim.kernel import Kernel
from ipvssim.net.networks import default_network
from ipvssim.state.saving import dumped
from tests.places import DATA
from tests.soak.processes import Ended

RULES = "".join(
    f"-A -t 10.0.{n}.1:80 -s rr\n" + "".join(f"-a -t 10.0.{n}.1:80 -r 10.1.{n}.{m}:80 -m -w 1\n" for m in (1, 2))
    for n in range(8)
)
OTHER = RULES.replace("-s rr", "-s wrr").replace("-w 1", "-w 7").replace("10.0.5.1", "10.0.55.1")
WEB, SERVER = ("-t", "10.0.1.1:80"), ("-r", "10.1.1.1:80")
NEW = ("-t", "192.0.2.9:80")
State = dict[str, bytes]
_LEFT = re.compile(r"\.new$|\.tmp$|\.journal$")
_KEPT = ".csv.journal"
"""A sweep's: it goes on from there, also when it is asked for more."""


class World:
    """A folder with a table, and what commands make in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = folder / "w"
        self.table = self.place / "a.table"
        self.target = f"sim:{self.table}"
        os.environ["XDG_STATE_HOME"] = str(self.place / "state")

    def ipvsnl(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        """Our command in this process."""
        out, errors = io.StringIO(), io.StringIO()
        status = program.execute(list(words), lambda: open_ipvs(self.target), io.StringIO(stdin), out, errors)
        return status, out.getvalue(), errors.getvalue()

    def shown(self) -> str:
        """All that a table says of itself."""
        wanted = ("-Sn", "-Ln --stats --exact", "-L --timeout", "-L --daemon")
        return "".join(self.ipvsnl(*listing.split())[1] for listing in wanted)

    def left(self) -> list[str]:
        """Files that nobody wants."""
        return sorted(str(path) for path in self.place.rglob("*") if _left(path.name))

    def files(self) -> dict[str, bytes]:
        """The files that are wanted, by name."""
        files = [path for path in self.place.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in files if not path.name.endswith(".lock")}


def full_table() -> bytes:
    """A saved table with rules, counters, timeouts."""
    kernel = Kernel(network=default_network())
    kernel.load(RULES)
    kernel.ipvsadm("--set", "100", "50", "25")
    return dumped(kernel.namespace)


@dataclass(frozen=True)
class Case:
    """One command. ``words`` are given to ``main``; ``share`` is its part of a campaign's kills."""

    name: str
    words: Callable[[World], Sequence[str]]
    stdin: str = ""
    empty: bool = False
    """Whether it begins with no table, not with a full one."""
    ours: bool = True
    """Of ``ipvsnl``, on the table; else of ``ipvssim``, which writes files."""
    partial: bool = False
    """Whether a part of it may be done, where it says how much."""
    again: bool = False
    """Whether the same command once more is always carried out."""
    share: float = 1.0

    def main(self, world: World) -> Callable[[], int]:
        """The command, to be called."""
        words = list(self.words(world))
        if self.ours:
            return lambda: program.main(["--target", world.target, *words])
        return lambda: simulator.main(words)

    def prepare(self, world: World, before: bytes) -> None:
        """The folder as the command finds it."""
        for path in sorted(world.place.rglob("*"), reverse=True):
            path.unlink() if not path.is_dir() else path.rmdir()
        world.place.mkdir(exist_ok=True)
        if self.ours:
            if not self.empty:
                world.table.write_bytes(before)
        else:
            (world.place / "out").mkdir()

    def state(self, world: World) -> State:
        """What may be compared: what the table says of itself, or the files that were made, but for half-written ones."""
        if self.ours:
            return {"table": world.shown().encode()}
        return {name: data for name, data in world.files().items() if not name.endswith((".new", ".journal"))}

    def truth(self, ended: Ended, found: State, before: State, after: State) -> str:
        """What is wrong, or nothing."""
        if not ended.killed and ended.code not in (0, 130, 143):
            return f"status {ended.code}"
        if "Traceback" in ended.errors or "Exception ignored" in ended.errors:
            return "a traceback"
        if not ended.killed and ended.code == 0:
            return "" if found == after else "acknowledged, and not so"
        if not self.ours:
            return self._whole(ended, found, after)
        if "as wanted" in ended.errors:
            return "" if found == after else "it says that all is as wanted"
        if "nothing is changed" in ended.errors:
            return "" if found == before else "it says that nothing is changed"
        told = re.search(r"interrupted after line \d+: (\d+) changes made", ended.errors)
        if self.partial and told and not ended.killed:
            made = _rules_in(found)
            return "" if made == int(told[1]) else f"{made} changes are made, and it says {told[1]}"
        return "" if found in (before, after) else "neither before nor after"

    def _whole(self, ended: Ended, found: State, after: State) -> str:
        """Every file is one that the whole command makes; a report of an interrupted run says so; an interrupted
        sweep keeps the runs that were done."""
        for name, data in found.items():
            if name.endswith(".csv") and ended.code == INTERRUPTED:
                strange = set(data.splitlines()) - set(after.get(name, b"").splitlines())
                if strange or not data.endswith(b"\n"):
                    return f"{name} holds {strange}"
                continue
            early = not ended.killed and data.endswith(b"</html>\n")
            if data != after.get(name) and not early:
                return f"{name} is neither absent nor whole"
        return ""


def _left(name: str) -> bool:
    return bool(_LEFT.search(name)) and not name.endswith(_KEPT)


def _rules_in(shown: State) -> int:
    return sum(line.startswith((b"-A", b"-a")) for line in shown["table"].splitlines())


def _rules_file(world: World, text: str) -> str:
    path = world.folder / "wanted.rules"
    path.write_text(text)
    return str(path)


def _scenario(world: World) -> str:
    path = world.folder / "mine.toml"
    path.write_text(
        'title = "mine"\ncompare = ["rr", "wrr"]\nseeds = 2\n[table]\nservers = 3\n[traffic]\n'
        'arrivals = { kind = "constant", rate = 1 }\nconnections = 9\n'
    )
    return str(path)


def _plain(*words: str) -> Callable[[World], Sequence[str]]:
    return lambda _: words


CAPTURES = DATA / "captures"
CASES = [
    Case("-A", _plain("-A", *NEW, "-s", "wlc")),
    Case("-A, no table", _plain("-A", *NEW, "-s", "wlc"), empty=True),
    Case("-E", _plain("-E", *WEB, "-s", "wlc", "-p", "60"), again=True),
    Case("-D", _plain("-D", *WEB)),
    Case("-a", _plain("-a", *WEB, "-r", "10.9.9.9:80", "-m")),
    Case("-e", _plain("-e", *WEB, *SERVER, "-m", "-w", "50"), again=True),
    Case("-d", _plain("-d", *WEB, *SERVER)),
    Case("-C", _plain("-C"), again=True),
    Case("-Z", _plain("-Z"), again=True),
    Case("--set", _plain("--set", "7", "8", "9"), again=True),
    Case("--start-daemon", _plain("--start-daemon", "master", "--mcast-interface", "eth0", "--syncid", "5")),
    Case("-R", _plain("-R"), stdin=RULES, empty=True, partial=True),
    Case("-R --atomic", _plain("-R", "--atomic"), stdin=f"-C\n{OTHER}", again=True),
    Case("apply", lambda world: ("apply", _rules_file(world, OTHER)), again=True),
    Case("apply --prune", lambda world: ("apply", "--prune", "-q", _rules_file(world, OTHER)), again=True),
    Case("apply --drain", lambda world: ("apply", "--prune", "--drain", "1", _rules_file(world, OTHER)), again=True),
    Case(
        "ipvssim pcap",
        lambda world: ("pcap", str(CAPTURES / "ops.rules"), str(CAPTURES / "ops.pcap"), str(world.place / "out" / "o.pcap")),
        ours=False, again=True, share=0.6,
    ),
    Case(
        "ipvssim lab run --out",
        lambda world: ("lab", "run", _scenario(world), "--jobs", "1", "--quiet", "--formats", "html", "--out",
                       str(world.place / "out")),
        ours=False, again=True, share=0.3,
    ),
    Case(
        "ipvssim lab run --out, two processes",
        lambda world: ("lab", "run", _scenario(world), "--jobs", "2", "--quiet", "--formats", "html", "--out",
                       str(world.place / "out")),
        ours=False, again=True, share=0.05,
    ),
    Case(
        "ipvssim lab sweep --out",
        lambda world: ("lab", "sweep", _scenario(world), "--jobs", "1", "--quiet", "--out",
                       str(world.place / "out" / "o.csv")),
        ours=False, again=True, share=0.3,
    ),
    Case(
        "ipvssim lab trace --out",
        lambda world: ("lab", "trace", _scenario(world), "--out", str(world.place / "out")),
        ours=False, again=True, share=0.5,
    ),
]  # fmt: skip
