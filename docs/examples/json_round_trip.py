"""A table as JSON: written for other programs, changed as data, and read back as what is wanted."""

import json
import subprocess

import ipvsnl

TARGET = "sim:shop.table"
RULES = """
-A -t 192.0.2.1:80 -s wlc
-a -t 192.0.2.1:80 -r 10.0.0.10:80 -m
-a -t 192.0.2.1:80 -r 10.0.0.11:80 -m -w 3
"""

with ipvsnl.open(TARGET) as ipvs:
    ipvs.apply(ipvs.plan(ipvsnl.read_table(RULES), prune=True))

command = ["ipvsnl", "--target", TARGET, "-L", "-n", "--json"]
text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
document = json.loads(text)
(service,) = document["services"]
print(service["address"], service["scheduler"], [server["weight"] for server in service["servers"]])

with ipvsnl.open(TARGET) as ipvs:
    print("as it was read:", "changes" if ipvs.plan(ipvsnl.read_table(text)) else "nothing to do")
    service["scheduler"] = "wrr"
    service["servers"][0]["weight"] = 5
    for operation in ipvs.plan(ipvsnl.read_table(json.dumps(document))).operations:
        print(operation)

service["servers"][0]["weight"] = -1
try:
    ipvsnl.read_table(json.dumps(document))
except ipvsnl.TableError as wrong:
    print(wrong)
