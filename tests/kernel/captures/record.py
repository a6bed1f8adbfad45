"""Makes captures of a real director, and notes what it chose: NAME.rules, NAME.pcap, NAME.json in DIR.

    ipvsnl lab-kernel -- python -m tests.kernel.captures.record [--into DIR] [SCENE ...]

Runs as root, in the laboratory's guest; wants tcpdump, and dumpcap for the pcapng scene. Without DIR the captures become the
archive of tests/data/captures that the tests replay.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.kernel.captures.scenes import SCENES, Scene
from tests.kernel.captures.traffic import Clients, Servers, Visit
from tests.kernel.captures.world import CLIENTS, CLIENTS6, MODULES, SERVERS, World, inside, settings
from tests.places import ROOT

ARCHIVE = ROOT / "tests" / "data" / "captures" / "recorded.tar.xz"
READY, PATIENCE, TRIES = ("listening on", "File: "), 20, 3
BUFFER = "32768"  # KiB: with the usual two MiB tcpdump has room for eight packets of any length


class LostError(RuntimeError):
    """The capture is not whole: what it did not see, nobody can play again."""


@contextmanager
def dumping(scene: Scene, file: Path) -> Iterator[None]:
    """tcpdump (dumpcap for pcapng) writes ``file`` meanwhile."""
    with inside("director"):
        if scene.suffix == "pcapng":
            command = ["dumpcap", "-w", str(file), *scene.dump]
        else:
            command = ["tcpdump", "-Z", "root", "-U", "--immediate-mode", "-B", BUFFER, "-w", str(file), *scene.dump]
        running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if any(word in line for word in READY):
            break
    else:
        raise RuntimeError(f"{command}: ended at once")
    time.sleep(0.3)
    try:
        yield
        time.sleep(0.5)
    finally:
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=PATIENCE)[1]
    if "dropped by kernel" in said and "\n0 packets dropped by kernel" not in said:
        raise LostError(said.splitlines()[-1])


def ipvsadm(*words: str, stdin: str = "") -> str:
    """The director's table."""
    with inside("director"):
        return subprocess.run(["ipvsadm", *words], input=stdin, text=True, check=True, capture_output=True).stdout


def furnish(scene: Scene) -> None:
    """The director's table, tunables, and marks."""
    for setting in scene.sysctls:
        name, _, value = setting.partition("=")
        settings("director", {f"net.ipv4.vs.{name}": int(value)})
    if scene.timeouts:
        ipvsadm("--set", *scene.timeouts)
    ipvsadm("-R", stdin=scene.rules)
    if scene.marked:
        with inside("director"):
            device = "clients" if scene.layout == "routed" else "eth0"
            subprocess.run(["tc", "qdisc", "add", "dev", device, "clsact"], check=True)
            for words in scene.marked:
                subprocess.run(["tc", "filter", "add", "dev", device, "ingress", "protocol", "ip", "flower", *words.split(),
                                "action", "skbedit", "mark", "7"], check=True)  # fmt: skip


def meet(world: World, scene: Scene) -> None:
    """The first packets between neighbours: nobody asks for a MAC address later, and IPv6's own noise is over."""
    ways = [(name, "10.0.0.1", "fd00:10::1") for name in world.names if name.startswith("server")]
    ways += [("director", f"10.0.0.{10 + number}", f"fd00:10::{10 + number}") for number in SERVERS]
    if scene.layout != "local":
        ways += [("client", "198.51.100.1", "2001:db8:1::1")]
        ways += [("director", *both) for both in zip(CLIENTS, CLIENTS6, strict=True)]
    for name, four, six in ways:
        for family, address in ((socket.AF_INET, four), (socket.AF_INET6, six)):
            with inside(name), socket.socket(family, socket.SOCK_DGRAM) as made:
                made.sendto(b"", (address, 9))
    time.sleep(0.2)


def visit(clients: Clients, visits: Sequence[Visit]) -> None:
    for one in visits:
        clients.go(one)
        time.sleep(0.03)


def make(scene: Scene, into: Path) -> int:
    """One scene's files; how many flows were answered."""
    world = World(scene.layout, direct=scene.direct)
    servers = Servers(scene.ports, scene.extra)
    clients = Clients(world.clients, CLIENTS, CLIENTS6, len(scene.name))
    file = into / f"{scene.name}.{scene.suffix.removesuffix('.gz')}"
    try:
        furnish(scene)
        meet(world, scene)
        visit(clients, scene.before)
        known = ipvsadm("-Lnc")
        clients.answers.clear()
        with dumping(scene, file):
            visit(clients, scene.visits)
            connections = ipvsadm("-Lnc")
            clients.close()
        saved = ipvsadm("-Sn")
    finally:
        servers.close()
        world.close()
    options = list(scene.options)
    if scene.before:
        (into / f"{scene.name}.conns").write_text(known)
        options += ["--start-state", f"{scene.name}.conns"]
    if scene.suffix.endswith(".gz"):
        subprocess.run(["gzip", "-9nf", str(file)], check=True)
    (into / f"{scene.name}.rules").write_text(saved)
    truth = {
        "capture": f"{scene.name}.{scene.suffix}", "options": options, "layout": scene.layout,
        "answers": [list(one) for one in (table(connections) if scene.extra else clients.answers)],
        "connections": connections.splitlines()[2:],
    }  # fmt: skip
    (into / f"{scene.name}.json").write_text(json.dumps(truth, indent=1) + "\n")
    return len(clients.answers)


def made(scene: Scene, into: Path) -> int:
    """The same, in as many tries as it takes; -1 where none was good."""
    for _ in range(TRIES):
        try:
            return make(scene, into)
        except (OSError, RuntimeError, subprocess.SubprocessError) as wrong:
            print(f"{scene.name}: {wrong}", flush=True)
    return -1


def table(listing: str) -> list[tuple[str, ...]]:
    """The answers that ``ipvsadm -Lnc`` tells of: protocol, client, virtual and real server."""
    rows = [line.split() for line in listing.splitlines()[2:]]
    return [(row[0].lower(), *row[3:6]) for row in rows]


def missing(scene: Scene) -> str:
    """A program that the scene wants and that is not there; empty where all is."""
    program = "dumpcap" if scene.suffix == "pcapng" else "tcpdump"
    return "" if shutil.which(program) else program


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kernel.captures.record", description=__doc__)
    parser.add_argument("--into", type=Path, metavar="DIR", help="where the files go (the archive)")
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help="only these scenes")
    chosen = parser.parse_args(arguments)
    subprocess.run(["modprobe", "-a", *MODULES], check=False)
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        into = chosen.into or Path(place)
        into.mkdir(parents=True, exist_ok=True)
        for name in chosen.scenes or SCENES:
            without = missing(SCENES[name])
            if without:
                print(f"{name}: no {without}: not made", flush=True)
                failed += 1
                continue
            began = time.monotonic()
            count = made(SCENES[name], into)
            failed += count < 0
            print(
                f"{name}: {count} of {len(SCENES[name].visits)} answered, {time.monotonic() - began:.1f} s", flush=True
            )
        if chosen.into is None and not failed:
            pack(into)
    return 1 if failed else 0


def pack(folder: Path) -> None:
    """The files of a folder become the archive of the tests."""
    with tarfile.open(ARCHIVE, "w:xz") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, file.name, filter=plain)


def plain(one: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nobody's file: the same wherever it was made."""
    one.uid = one.gid = 0
    one.uname = one.gname = ""
    one.mode = 0o644
    return one


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
