"""The scheduler laboratory: what schedulers do with traffic, decided by the simulated director and nowhere else.

    from ipvssim import lab

    scenario = lab.load("failure")           # of the gallery, or a TOML file
    outcomes = lab.compare(scenario)         # every variant and seed, on all cores
    lab.report(scenario, outcomes, "out")    # HTML, PNG, SVG

docs/use/scheduler-laboratory.md tells the rest.
"""

from ipvssim.lab.api import compare, report, sweep
from ipvssim.lab.run.engine import simulate
from ipvssim.lab.run.outcome import Outcome
from ipvssim.lab.scenario.definition import Scenario, build, gallery, load
from ipvssim.lab.scenario.reader import ScenarioError

__all__ = [
    "Outcome", "Scenario", "ScenarioError", "build", "compare", "gallery", "load", "report", "simulate", "sweep",
]  # fmt: skip
