"""A controller: again and again make the table be what is wanted, changing only what differs, all of it or nothing."""

import ipvsnl

WEB = ipvsnl.Service("tcp", "192.0.2.1", 80, scheduler="wlc")


def wanted(hosts):
    """What the table should be, from whatever your source of truth is: here a mapping of addresses to weights."""
    return {WEB: [ipvsnl.Destination(host, 8080, "masq", weight=weight) for host, weight in hosts.items()]}


def reconcile(ipvs, hosts):
    """One round: look, plan, apply."""
    plan = ipvs.plan(wanted(hosts), prune=True)
    if not plan:
        print("nothing to do")
    for operation in plan.operations:
        print(operation)
    try:
        ipvs.apply(plan)
    except ipvsnl.ApplyError as failed:  # refused half-way, and taken back
        print("refused:", failed.operation, failed.reason.message)
    except ipvsnl.ConflictError as conflict:  # someone else changed it: plan again in the next round
        print("changed by someone else:", conflict.changed)


with ipvsnl.open("sim::memory:") as ipvs:
    for number, hosts in enumerate(
        [
            {"10.0.0.10": 1, "10.0.0.11": 1},
            {"10.0.0.10": 1, "10.0.0.11": 1},
            {"10.0.0.10": 3, "10.0.0.12": 1},
        ],
        start=1,
    ):
        print(f"round {number}")
        reconcile(ipvs, hosts)
