"""Compare two schedulers before one is deployed: which spreads load better, whose clients stay when a server dies."""

from ipvssim import lab

scenario = lab.build(
    {
        "title": "One of ten servers dies",
        "compare": ["wlc", "mh"],
        "seeds": 2,
        "table": {"servers": 10},
        "traffic": {
            "arrivals": {"kind": "poisson", "rate": 50},
            "durations": {"kind": "exponential", "mean": 5},
            "clients": {"kind": "uniform", "count": 200},
            "seconds": 40,
        },
        "events": [{"at": 20, "do": "remove", "server": 7}],
    }
)
for run in lab.compare(scenario, jobs=1):
    peak, moved = run.figures["peak"], run.figures["moved"]
    print(f"{run.variant} seed {run.seed}: busiest server {peak:.2f} times the mean, {moved:.0%} of clients moved")
