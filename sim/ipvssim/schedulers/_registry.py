"""The schedulers by name: the kernel's, loaded when they are first asked for, and what users register beside them."""

from __future__ import annotations

from importlib import import_module
from os import environ
from warnings import warn

from ipvssim.schedulers._base import Flow, Scheduler, Server

KERNEL = {
    "dh": "DestinationHashing",
    "fo": "Failover",
    "lblc": "LocalityBased",
    "lblcr": "LocalityBasedReplicated",
    "lc": "LeastConnection",
    "mh": "Maglev",
    "nq": "NeverQueue",
    "ovf": "Overflow",
    "rr": "RoundRobin",
    "sed": "ShortestExpectedDelay",
    "sh": "SourceHashing",
    "twos": "PowerOfTwo",
    "wlc": "WeightedLeastConnection",
    "wrr": "WeightedRoundRobin",
}
"""The kernel's: the class in the module of that name."""

UNBUILT = frozenset(("twos",))
"""Those that Debian's Linux 6.1 does not build: a user's scheduler of that name comes first."""

VARIABLE = "IPVSSIM_SCHEDULERS"
"""The environment's list of users' schedulers: modules, or files that end in .py, with commas between."""

REGISTRY: dict[str, type[Scheduler]] = {}
"""Those that were registered, and those of the kernel's that were asked for."""


def register(scheduler: type[Scheduler]) -> type[Scheduler]:
    """Make a scheduler known by its ``NAME`` (1 to 15 characters); usable as a class decorator.

    A name of the kernel's may be taken over: services that get their scheduler afterwards get this one.
    """
    if not 0 < len(scheduler.NAME) <= 15:
        raise ValueError(f"a scheduler's NAME has 1 to 15 characters, not {scheduler.NAME!r}")
    REGISTRY[scheduler.NAME] = scheduler
    return scheduler


def find(name: str, *, unbuilt: bool = True) -> type[Scheduler] | None:
    """The scheduler of that name, or None. Only for a name that is not known are the environment's files run; LoadingError
    where that fails. ``unbuilt``: whether it may be one of the kernel's that Debian does not build; a user's goes before."""
    found = REGISTRY.get(name)
    if found is None and name in KERNEL and name not in UNBUILT:
        found = REGISTRY[name] = _kernels(name)
    if found is None and VARIABLE in environ:
        _load(environ[VARIABLE])
        found = REGISTRY.get(name)
    if found is None and unbuilt and name in UNBUILT:
        found = _kernels(name)
    return found


def _kernels(name: str) -> type[Scheduler]:
    found: type[Scheduler] = getattr(import_module(f"{__package__}.{name}"), KERNEL[name])
    return found


def names() -> list[str]:
    """All names that :func:`find` knows, sorted."""
    return sorted({*KERNEL, *REGISTRY})


def missing(name: str, why: str = "") -> type[Scheduler]:
    """What stands in for a scheduler that a saved table names and that is not known here: it picks nobody, and says so.

    ``why`` is what went wrong with the environment's files, if that is why it is not known.
    """
    way = f"{why}; " if why else ""
    words = f"scheduler {name!r} is not known here: {way}set {VARIABLE} to the module or the .py file that registers it"

    class Missing(Scheduler):
        NAME = name
        RULE = words

        def pick(self, flow: Flow) -> Server | None:
            del flow
            warn(words, MissingSchedulerWarning, stacklevel=2)
            return None

    return Missing


class MissingSchedulerWarning(UserWarning):
    """A service had to pick a server, and its scheduler is not known here."""


class LoadingError(ImportError):
    """A module or file that the environment names can't be loaded; the message says which, and why."""


def _load(wanted: str) -> None:
    """Run what the environment names, each once; LoadingError where one of them fails."""
    for place in filter(None, wanted.split(",")):
        if place in _loaded:
            continue
        try:
            if place.endswith(".py"):
                from runpy import run_path

                run_path(place)
            else:
                import_module(place)
        except (Exception, SystemExit) as wrong:  # a script that leaves when it is run
            raise LoadingError(f"{VARIABLE}: {place}: {type(wrong).__name__}: {wrong}") from wrong
        _loaded.add(place)


_loaded: set[str] = set()
