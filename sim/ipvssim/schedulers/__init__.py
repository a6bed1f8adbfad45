"""The schedulers by name: the kernel's, loaded when they are first asked for, and what users register beside them."""

from __future__ import annotations

from importlib import import_module

from ipvssim.schedulers.base import Flow, Scheduler, Settings

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
    "wlc": "WeightedLeastConnection",
    "wrr": "WeightedRoundRobin",
}
"""The kernel's: the class in the module of that name."""

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


def find(name: str) -> type[Scheduler] | None:
    """The scheduler of that name, or None."""
    found = REGISTRY.get(name)
    if found is None and name in KERNEL:
        found = getattr(import_module(f"{__name__}.{name}"), KERNEL[name])
        REGISTRY[name] = found
    return found


def names() -> list[str]:
    """All names that :func:`find` knows, sorted."""
    return sorted({*KERNEL, *REGISTRY})


__all__ = ["KERNEL", "REGISTRY", "Flow", "Scheduler", "Settings", "find", "names", "register"]
