"""Schedulers by name, users' own ones among them, and how each explains itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ipvssim.schedulers import KERNEL, REGISTRY, Flow, Scheduler, Server, _registry, find, names, register
from tests.ipvssim.schedulers.harness import Lab


def test_the_kernels() -> None:
    """Linux 6.1's fourteen are known by their names, each in a module of that name; twos only where its module is loaded."""
    assert list(KERNEL) == [
        "dh",
        "fo",
        "lblc",
        "lblcr",
        "lc",
        "mh",
        "nq",
        "ovf",
        "rr",
        "sed",
        "sh",
        "twos",
        "wlc",
        "wrr",
    ]
    for name in KERNEL:
        scheduler = find(name)
        assert scheduler is not None
        assert (scheduler.NAME, scheduler.__module__) == (name, f"ipvssim.schedulers.{name}")
        assert scheduler.RULE
        assert scheduler.LOADS is (name in ("lblc", "lblcr", "lc", "nq", "ovf", "sed", "wlc"))
    assert find("twos", unbuilt=False) is None


def test_they_load_when_asked_for() -> None:
    """Importing the registry imports no scheduler."""
    script = "import sys, ipvssim.schedulers; print([m for m in sys.modules if m.startswith('ipvssim.schedulers.')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['ipvssim.schedulers._base', 'ipvssim.schedulers._registry']"


def test_a_users_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of docs/use/schedulers.md: ten lines, and a service has it by name."""
    monkeypatch.delitem(REGISTRY, "newest", raising=False)

    @register
    class Newest(Scheduler):
        """The server that was added last and is usable."""

        NAME = "newest"
        RULE = "first usable in list order"

        def pick(self, flow: Flow) -> Server | None:
            usable = (s for s in self.service.servers() if s.weight > 0 and not s.overloaded)
            return next(usable, None)

    assert "newest" in names()
    lab = Lab("newest")
    lab.add(2)
    lab.edit(lab.add(3), 0)
    assert lab.service.scheduler_name == "newest"
    assert lab.pick() == 2
    assert lab.scheduler.explain(lab.flow())["picked"] == "10.0.0.2:80"
    del REGISTRY["newest"]


USERS = '''
from ipvssim.schedulers import Scheduler, register

@register
class Oldest(Scheduler):
    """The server that was added first."""

    NAME = "oldest"

    def pick(self, flow):
        return next(iter(self.service.destinations.values()), None)
'''


@pytest.mark.parametrize("by", ["file", "module"])
def test_schedulers_of_the_environment(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPVSSIM_SCHEDULERS names files and modules, which are run, once, when a name is asked for that is not known."""
    file = tmp_path / f"users_{by}.py"
    file.write_text(USERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("IPVSSIM_SCHEDULERS", f"json,{file if by == 'file' else file.stem}")
    monkeypatch.setattr(_registry, "REGISTRY", {})
    assert find("rr") is not None
    assert "oldest" not in names()
    oldest = find("oldest")
    assert oldest is not None
    assert find("nosuch") is None
    assert find("oldest") is oldest
    lab = Lab("oldest")
    lab.add(2)
    lab.add(3)
    assert lab.pick() == 2


def test_a_name_may_be_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's rr stays where the kernel's was, even if the kernel's module is imported later."""
    mine = type("Mine", (Scheduler,), {"NAME": "rr"})
    monkeypatch.setitem(REGISTRY, "rr", mine)
    assert register(mine) is mine
    import ipvssim.schedulers.rr

    assert ipvssim.schedulers.rr.RoundRobin.NAME == "rr"
    assert find("rr") is mine


@pytest.mark.parametrize("name", ["", "a" * 16])
def test_names_have_a_length(name: str) -> None:
    """IP_VS_SCHEDNAME_MAXLEN is 16 with the terminating zero."""
    with pytest.raises(ValueError, match="1 to 15"):
        register(type("Bad", (Scheduler,), {"NAME": name}))


@pytest.mark.parametrize("name", list(KERNEL))
def test_explanations_have_one_shape(name: str) -> None:
    """Asked before a pick, it tells that pick, in JSON's types, and changes nothing."""
    lab = Lab(name)
    for host in (2, 3, 4):
        lab.add(host, host)
    lab.add(bytes(15) + b"\x01", 1, 8080)
    for _ in range(6):
        told = lab.scheduler.explain(lab.flow())
        assert told == lab.scheduler.explain(lab.flow()) == json.loads(json.dumps(told))
        assert list(told) == ["scheduler", "rule", "picked", "why", "state", "servers"]
        assert list(told["servers"]) == ["[::1]:8080", "10.0.0.4:80", "10.0.0.3:80", "10.0.0.2:80"]
        picked = lab.connect()
        assert told["picked"] == ("[::1]:8080" if picked == 1 else f"10.0.0.{picked}:80")


STATES = {
    "rr": {"last": "10.0.0.3:80"},
    "wrr": {"last": "10.0.0.3:80", "current_weight": 1, "top_weight": 2, "step": 1},
    "lblc": {"cached": "10.0.0.3:80", "serves": True},
    "lblcr": {"set": ["10.0.0.3:80"], "best": "10.0.0.3:80", "too_much": False},
    "dh": {"bucket": 39, "holds": "10.0.0.2:80"},
    "sh": {"bucket": 50, "holds": "10.0.0.2:80"},
    "mh": {"slot": 2891, "holds": "10.0.0.3:80"},
    "wlc": {},
}


@pytest.mark.parametrize("name", list(STATES))
def test_what_explanations_tell(name: str) -> None:
    """The cursor, the current weight, the bucket, the cache entry: what the next pick will look at."""
    lab = Lab(name)
    lab.add(2, 1)
    lab.add(3, 2)
    assert lab.pick() in (2, 3)
    assert lab.scheduler.state(lab.flow()) == STATES[name]
