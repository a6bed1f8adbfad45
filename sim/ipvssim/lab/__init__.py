"""The scheduler laboratory: what schedulers do with traffic, decided by the simulated director and nowhere else.

    from ipvssim import lab

    scenario = lab.load("failure")           # of the gallery, or a TOML file
    outcomes = lab.compare(scenario)         # every variant and seed, on all cores
    lab.report(scenario, outcomes, "out")    # HTML, PNG, SVG

docs/use/scheduler-laboratory.md tells the rest. Names are imported at first use: reading scenarios needs no numpy.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvssim.lab.api import compare, report, sweep
    from ipvssim.lab.run.engine import simulate
    from ipvssim.lab.run.outcome import Outcome
    from ipvssim.lab.scenario.definition import Scenario, build, gallery, load
    from ipvssim.lab.scenario.reader import ScenarioError

_HOMES = {
    "api": ("compare", "report", "sweep"),
    "run.engine": ("simulate",),
    "run.outcome": ("Outcome",),
    "scenario.definition": ("Scenario", "build", "gallery", "load"),
    "scenario.reader": ("ScenarioError",),
}

__all__ = [
    "Outcome", "Scenario", "ScenarioError", "build", "compare", "gallery", "load", "report", "simulate", "sweep",
]  # fmt: skip


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            found: object = getattr(import_module(f"ipvssim.lab.{home}"), name)
            globals()[name] = found  # not a sub-package of that name, whoever imports one later
            return found
    raise AttributeError(f"module 'ipvssim.lab' has no attribute {name!r}")
