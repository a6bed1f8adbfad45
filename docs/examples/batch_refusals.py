"""A batch, of which the kernel refuses some: all the others are done, and each refusal names its change and its cause."""

import ipvsnl

inventory = [
    ("rack 1", "10.0.0.10", 1),
    ("rack 2", "10.0.0.11", 3),
    ("rack 3", "10.0.0.10", 2),  # the same address twice
    ("rack 4", "255.255.255.255", 1),  # no address of a server
]

with ipvsnl.open("sim::memory:") as ipvs:
    web = ipvsnl.Service("tcp", "192.0.2.1", 80, scheduler="wrr")
    try:
        with ipvs.batch() as batch:
            batch.add_service(web)
            for where, address, weight in inventory:
                batch.add_server(web, ipvsnl.Destination(address, 80, "masq", weight=weight), tag=where)
    except ipvsnl.BatchError as some:
        for refused in some.refused:
            print(f"{refused.tag}: {refused.destination}: {refused.message}")
            if refused.cause:
                print(f"  {refused.cause}")
    for status in ipvs.servers(web):
        print(status.destination, "weight", status.destination.weight)
