"""plan and apply as processes, on a kernel that others reach, too: the simulated one, and in the laboratory the real one."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time

import pytest

from ipvsnl.model import Destination, Service
from tests.ipvsnl.random_tables import exact, meaning
from tests.places import DATA

from .operating import BIN, Machine, Tables, machine

__all__ = ["machine"]
KILLS = int(os.environ.get("IPVSNL_KILLS", "6"))
"""Applies that are killed; the campaign sets 100."""
ROUNDS = int(os.environ.get("IPVSNL_ROUNDS", "1"))
"""Rounds of concurrent applies; the campaign sets 20."""
WEB_SERVICE = Service("tcp", "192.0.2.1", 80, scheduler="rr")
WEB = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1\n"


def test_plan_tells_by_its_status_and_apply_is_idempotent(machine: Machine) -> None:
    """plan: 2 and the operations where something differs, 0 where nothing does, 1 for an error; apply twice is once."""
    rules = machine.directory / "rules"
    rules.write_text(WEB)
    status, out, err = machine.run("plan", str(rules))
    assert (status, err) == (2, "")
    assert (
        out
        == "+ -A -t 192.0.2.1:80 -s rr\n+ -a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1\n1 service and 1 server to add\n"
    )
    assert machine.run("apply", str(rules))[0] == 0
    assert machine.run("plan", str(rules)) == (0, "nothing to do\n", "")
    assert machine.run("apply", str(rules)) == (0, "nothing to do\n", "")
    assert machine.run("plan", str(rules) + ".not-there")[0] == 1
    assert not machine.journals


def test_an_edit_is_shown_with_what_it_changes(machine: Machine) -> None:
    """An edit says which fields change; what is not wanted is shown as staying, or goes with --prune."""
    machine.run("-R", stdin=WEB + "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m\n")
    wanted = WEB.replace("-s rr", "-s wlc").replace("-w 1", "-w 5")
    status, out, _ = machine.run("plan", "-", stdin=wanted)
    assert status == 2
    assert out.splitlines() == [
        "~ -e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 5    # weight 1 -> 5",
        "~ -E -t 192.0.2.1:80 -s wlc    # scheduler rr -> wlc",
        "= -a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 1",
        "1 service and 1 server to change; not wanted, but kept without --prune: 1 server",
    ]
    pruned = machine.run("plan", "--prune", "-", stdin=wanted)[1]
    assert pruned.splitlines()[2:] == [
        "- -d -t 192.0.2.1:80 -r 10.0.0.2:80", "1 service and 1 server to change, 1 server to delete"
    ]  # fmt: skip


def test_what_a_listing_writes_as_json_plan_and_apply_read(machine: Machine) -> None:
    """--json of a table is a wanted table: nothing to do where it came from, everything on an empty one."""
    mixed = (DATA / "rules" / "mixed.rules").read_text()
    machine.run("-R", stdin=mixed)
    status, listed, _ = machine.run("-L", "-n", "--json")
    assert status == 0 and json.loads(listed)["ipvsnl"] == 1
    assert machine.run("plan", "--prune", "-", stdin=listed) == (0, "nothing to do\n", "")
    with machine.client() as ipvs:
        before = meaning(ipvs.snapshot())
        ipvs.flush()
        assert machine.run("apply", "-", stdin=listed)[0] == 0
        assert meaning(ipvs.snapshot()) == before
    plan = json.loads(machine.run("plan", "--json", "--prune", "-", stdin=WEB)[1])["plan"]
    assert {one["do"] for one in plan["operations"]} == {"add-service", "add-server", "delete-service"} or plan


def test_a_refusal_names_line_rule_field_and_cause_and_is_rolled_back(machine: Machine) -> None:
    """By file, line and rule; then the likely cause; then that nothing is changed."""
    machine.run("-R", stdin=WEB)
    before = machine.run("-Sn")[1]
    wanted = WEB.replace("-s rr", "-s wlc") + "\n-a -t 192.0.2.1:80 -r 224.0.0.9:80 -m -w 1\n"
    status, out, err = machine.run("apply", "-", stdin=wanted)
    assert (status, out) == (1, "")
    said = err.splitlines()
    assert said[0].startswith("<stdin>:4: -a -t 192.0.2.1:80 -r 224.0.0.9:80 -m -w 1: Invalid operation.")
    assert said[-2:] == [
        "likely cause: address: not a unicast address: unspecified, broadcast or multicast",
        "rolled back: nothing is changed",
    ]
    assert machine.run("-Sn")[1] == before and not machine.journals


def test_a_table_that_contradicts_itself_names_both_lines(machine: Machine) -> None:
    """Two rules of one key are an error before anything is read."""
    status, _, err = machine.run("plan", "-", stdin=WEB + "# again\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 2\n")
    assert status == 1 and "line 4" in err and "line 2" in err
    status, _, err = machine.run("plan", "-", stdin="-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m\n")
    assert status == 1 and "line 1" in err and "no such service" in err
    status, _, err = machine.run("apply", "-", stdin="-C\n" + WEB)
    assert status == 1 and "1: -C" in err


def test_restoring_atomically_is_all_or_nothing(machine: Machine) -> None:
    """-R --atomic: a refused line is named and nothing is changed; -C with the same rules again changes nothing, too."""
    machine.run("-R", stdin=WEB)
    with machine.client() as ipvs:
        before = exact(ipvs.snapshot())
        status, _, err = machine.run("-R", "--atomic", stdin="-A -t 192.0.2.9:80\n" + WEB)
        assert status == 255 and err.splitlines() == [
            "Service already exists", "<stdin>:2: -A -t 192.0.2.1:80 -s rr: Service already exists", "nothing is changed"
        ]  # fmt: skip
        assert exact(ipvs.snapshot()) == before
        late = "-C\n" + WEB.replace("-w 1", "-w 9") + "-a -t 192.0.2.1:80 -r 224.0.0.9:80 -m\n"
        status, _, err = machine.run("-R", "--atomic", stdin=late)
        assert status == 255 and err.startswith("<stdin>:4: -a ") and "rolled back: nothing is changed" in err
        assert exact(ipvs.snapshot()) == before
        assert machine.run("-R", "--atomic", stdin="-C\n" + WEB) == (0, "", "")
        assert exact(ipvs.snapshot()) == before
        assert machine.run("-R", "--atomic", stdin="-C\n-A -f 7 -s wlc\n") == (0, "", "")
        assert [service.fwmark for service in exact(ipvs.snapshot())] == [7]


def test_a_killed_atomic_restore_is_completed_by_the_next(machine: Machine) -> None:
    """The journal knows what was under way: the same lines again complete it, though half of them are there already."""
    from ipvsnl.tables.journal import Journal
    from ipvsnl.tables.plan import difference
    from ipvsnl.tables.table import live

    machine.run("-R", stdin=WEB)
    lines = (
        "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m\n-E -t 192.0.2.1:80 -s wlc\n-d -t 192.0.2.1:80 -r 10.0.0.1:80\n-A -f 7\n"
    )
    with machine.client() as ipvs, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", machine.environment["XDG_STATE_HOME"])
        before = live(ipvs.snapshot())
        machine.run("-R", stdin=lines)
        after = exact(ipvs.snapshot())
        journal = Journal(ipvs.place)
        with journal.locked():
            journal.begin(difference(before, live(ipvs.snapshot()), prune=True), lines)
        become(machine, {WEB_SERVICE: [Destination("10.0.0.1", 80, "masq"), Destination("10.0.0.2", 80, "masq")]})
        status, _, err = machine.run("-R", "--atomic", stdin=lines)
        assert status == 0 and "did not end: completing it" in err
        assert exact(ipvs.snapshot()) == after and not machine.journals


def large(weight: int, services: range = range(1, 301)) -> Tables:
    """Some two thousand rules."""
    return {
        Service("tcp", "192.0.2.1", port, scheduler="rr" if weight % 2 else "wrr"): [
            Destination(f"10.0.{weight}.{number}", 80, "masq", 1 + number % 3) for number in range(1, 4)
        ] + [Destination(f"10.1.0.{number}", 80, "masq", weight) for number in range(1, 4)]
        for port in services
    }  # fmt: skip


BYSTANDER = Service("tcp", "192.0.2.2", 9999, scheduler="lc")


def become(machine: Machine, table: Tables) -> None:
    with machine.client() as ipvs:
        ipvs.flush()
        ipvs.load(table.items())


@pytest.mark.parametrize("pruned", [True, False])
def test_a_killed_apply_is_completed_by_the_next(machine: Machine, pruned: bool) -> None:
    """SIGKILL at random moments: the next apply of the same file completes it and says so; nothing else is changed."""
    chance = random.Random(6)
    first, second = large(1), large(2, range(100, 401))
    bystander: Tables = {BYSTANDER: [Destination("10.9.9.9", 80, "masq")]}
    wanted = {**second, **bystander} if pruned else second
    name = machine.file("second.rules", wanted)
    options = ["--prune"] if pruned else []
    begun = 0
    whole = _seconds_of_a_whole_apply(machine, first, name, options)
    for number in range(KILLS // 2 or 1):
        become(machine, {**first, **bystander})
        running = machine.start("apply", "-q", *options, name)
        if number % 3 == 0:
            time.sleep(chance.random() * whole)
        else:  # most of them while it writes: at once, or a little later
            deadline = time.monotonic() + 30
            while not machine.journals and running.poll() is None and time.monotonic() < deadline:
                time.sleep(0.0005)
            time.sleep(chance.random() * whole / 4 if number % 3 == 2 else 0)
        running.kill()
        running.communicate()
        left = bool(machine.journals)
        begun += left
        status, _, err = machine.run("apply", "-q", *options, name)
        assert status == 0, err
        assert ("did not end: completing it" in err) is left and not machine.journals
        with machine.client() as ipvs:
            found = meaning(ipvs.snapshot())
        expected = meaning(wanted) if pruned else _merged({**first, **bystander}, wanted)
        assert found == expected
    print(f"{begun} of the killed applies had begun to write and not ended")
    assert begun


def _seconds_of_a_whole_apply(machine: Machine, first: Tables, name: str, options: list[str]) -> float:
    become(machine, first)
    start = time.monotonic()
    assert machine.run("apply", "-q", *options, name)[0] == 0
    return time.monotonic() - start


def _merged(live: Tables, wanted: Tables) -> dict[Service, set[Destination]]:
    """What an apply without pruning makes of a table."""
    found = {service.key: (service, {one.key: one for one in servers}) for service, servers in live.items()}
    for service, servers in wanted.items():
        there = found.get(service.key, (service, {}))[1]
        found[service.key] = (service, there | {one.key: one for one in servers})
    return {service: set(servers.values()) for service, servers in found.values()}


def test_a_restore_says_each_likely_cause_once(machine: Machine) -> None:
    """Every refused line is named; why, where ipvsadm's words do not say it, stands once for all that have it."""
    lines = [WEB.splitlines()[0], *[f"-a -t 192.0.2.1:80 -r 224.0.0.{n}:80 -m" for n in (1, 2, 3)]]
    status, _, err = machine.run("-R", stdin="".join(f"{line}\n" for line in lines))
    assert status == 255
    assert [line for line in err.splitlines() if line.startswith("<stdin>:")] == [
        f"<stdin>:{n}: {lines[n - 1]}: Invalid operation.  Possibly wrong module version, address not unicast, ..."
        for n in (2, 3, 4)
    ]
    assert err.count("likely cause") == 1 and "not a unicast address" in err


def test_an_interrupted_apply_is_rolled_back(machine: Machine) -> None:
    """SIGTERM while it writes: the table is what it was, and the status says that it was ended."""
    become(
        machine, {Service("tcp", "192.0.2.1", 80): [Destination("10.0.0.1", 80, "masq"), Destination("10.0.0.2", 80)]}
    )
    with machine.client() as ipvs:
        before = exact(ipvs.snapshot())
        name = machine.file("rules", large(2, range(1, 400)))
        running = machine.start("apply", "-q", "--prune", name)
        deadline = time.monotonic() + 30
        while not machine.journals and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.0005)
        running.terminate()
        _, err = running.communicate()
        if "rolled back" in err:  # else it was quicker
            assert running.returncode == 143
            assert exact(ipvs.snapshot()) == before and not machine.journals
        else:
            assert running.returncode in (0, 143)
            assert machine.run("apply", "--prune", name)[0] == 0 and not machine.journals


def test_concurrent_applies_and_another_program_never_leave_a_silent_mixture(machine: Machine) -> None:
    """Two applies of different tables beside ipvsadm: each ends in success or says why not, and the table in the end is
    what the last of them wanted, but for what the other program wrote (which one that gave up names as what differs)."""
    tables = {name: large(weight, range(1, 61)) for name, weight in (("one", 1), ("two", 2))}
    files = {name: machine.file(name, table) for name, table in tables.items()}
    meddled = next(iter(tables["one"]))
    for _ in range(ROUNDS):
        initial = large(3, range(1, 61))
        become(machine, initial)
        running = {name: machine.start("apply", "-q", "--prune", file) for name, file in files.items()}
        while any(one.poll() is None for one in running.values()):
            machine.ipvsadm("-e", "-t", f"{meddled.address}:{meddled.port}", "-r", "10.1.0.1:80", "-m", "-w", "77")
            machine.ipvsadm("-a", "-t", f"{meddled.address}:{meddled.port}", "-r", "10.7.7.7:80", "-m")
        said = {name: one.communicate()[1] for name, one in running.items()}
        achieved = [name for name, one in running.items() if one.returncode == 0]
        for name, one in running.items():
            # On a slow machine one may give up waiting for the other.
            why = re.search("someone else|has changed|another apply is at work", said[name])
            assert one.returncode == 0 or why, said[name]
            differs = said[name].partition("this still differs")[2]
            named = set(re.findall(r"192\.0\.2\.\d+:\d+", differs))
            if named == {f"{meddled.address}:{meddled.port}"} and not re.search(r"and \d+ more", differs):
                achieved.append(name)
        with machine.client() as ipvs:
            found = meaning(ipvs.snapshot())
        key = next(service for service in found if service.key == meddled.key)
        del found[key]
        candidates = [meaning(tables[name]) for name in (achieved or tables)]
        candidates += [] if achieved else [meaning(initial)]
        for candidate in candidates:
            del candidate[next(service for service in candidate if service.key == meddled.key)]
        assert found in candidates
    for name in files:
        assert machine.run("apply", "-q", "--prune", files[name])[0] == 0
        with machine.client() as ipvs:
            assert meaning(ipvs.snapshot()) == meaning(tables[name])


def test_a_second_apply_waits_for_the_first(machine: Machine) -> None:
    """Of two applies at once each is whole: the table is one's or the other's."""
    files = [machine.file(f"{weight}.rules", large(weight)) for weight in (1, 2)]
    running = [machine.start("apply", "-q", "--prune", name) for name in files]
    for one in running:
        assert (one.wait(60), one.communicate()[1]) == (0, "")
    with machine.client() as ipvs:
        assert meaning(ipvs.snapshot()) in (meaning(large(1)), meaning(large(2)))


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
@pytest.mark.parametrize("lines", ["24", ""])
def test_top_in_a_real_terminal(machine: Machine, lines: str) -> None:
    """Drawn on the whole screen, whatever LINES says; follows changes, sorts, pauses, leaves the terminal as it was on q."""
    machine.environment["LINES"] = lines
    machine.run("-R", stdin=WEB)
    socket = f"{tempfile.mkdtemp()}/tmux"

    def tmux(*words: str) -> str:
        command = ["tmux", "-S", socket, "-f", "/dev/null", *words]
        return subprocess.run(command, env=machine.environment, capture_output=True, text=True).stdout

    def shows(*words: str) -> bool:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            screen = tmux("capture-pane", "-p")
            if all(word in screen for word in words):
                return True
            time.sleep(0.2)
        return False

    command = f"{BIN / 'ipvsnl'} top --interval 0.3; echo left; exec cat"
    tmux("new-session", "-d", "-x", "100", "-y", "20", command)
    try:
        assert shows("1 services, 1 servers", "TCP 192.0.2.1:80", "-> 10.0.0.1:80", "q quit")
        machine.run("-e", "-t", "192.0.2.1:80", "-r", "10.0.0.1:80", "-m", "-w", "42")
        assert shows("changed", "-e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 42")
        tmux("send-keys", "s")
        assert shows("sort (connections/s)")
        tmux("send-keys", "p")
        assert shows("paused", "p go on")
        tmux("send-keys", "q")
        assert shows("left") and "q quit" not in tmux("capture-pane", "-p")
    finally:
        tmux("kill-server")


def test_top_and_export_read_the_same_table(machine: Machine) -> None:
    """One look of top, and the metrics, show every service and server."""
    machine.run("-R", stdin=WEB)
    shown = machine.run("top", "--once")[1]
    assert "TCP 192.0.2.1:80" in shown and "-> 10.0.0.1:80" in shown
    pytest.importorskip("prometheus_client")
    status, metrics, said = machine.run("export")
    assert status == 0 and "ipvs_up 1.0" in metrics, said
    label = 'address="192.0.2.1",family="ipv4",forward="masq",fwmark="",port="80",protocol="tcp",scheduler="rr"'
    assert f'ipvs_server_weight{{{label},server="10.0.0.1",server_port="80"}} 1.0' in metrics
    missing = {**machine.environment, "IPVSNL_TARGET": "unix:/no/such"}
    done = subprocess.run([BIN / "ipvsnl", "export"], env=missing, capture_output=True, text=True)
    assert done.returncode == 1 and "ipvs_up 0.0" in done.stdout
