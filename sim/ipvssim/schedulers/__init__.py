"""The schedulers by name: the kernel's, and what users register beside them."""

from __future__ import annotations

from ipvssim.schedulers.base import Flow, Scheduler

REGISTRY: dict[str, type[Scheduler]] = {}


def register(scheduler: type[Scheduler]) -> type[Scheduler]:
    """Make a scheduler known by its ``NAME`` (1 to 15 characters); usable as a class decorator."""
    if not 0 < len(scheduler.NAME) <= 15:
        raise ValueError(f"a scheduler's NAME has 1 to 15 characters, not {scheduler.NAME!r}")
    REGISTRY[scheduler.NAME] = scheduler
    return scheduler


def find(name: str) -> type[Scheduler] | None:
    """The scheduler of that name, or None."""
    return REGISTRY.get(name)


__all__ = ["REGISTRY", "Flow", "Scheduler", "find", "register"]
