"""Tests of a controller that is a shell script and knows ipvsadm alone: the fixture `ipvs_run` runs it, without root."""

import shutil

import pytest
from scapy.layers.inet import IP, TCP

pytestmark = pytest.mark.skipif(shutil.which("ipvsadm") is None, reason="ipvsadm is not installed")

CONTROLLER = """
ipvsadm -A -t 192.0.2.1:80 -s rr
for server in 10.0.0.10 10.0.0.11; do ipvsadm -a -t 192.0.2.1:80 -r $server:80 -m; done
echo ready
while read -r server; do  # a server to drain
    ipvsadm -e -t 192.0.2.1:80 -r $server:80 -m -w 0
    while ipvsadm -Lnc | grep -q " $server:80$"; do sleep 0.1; done
    ipvsadm -d -t 192.0.2.1:80 -r $server:80
    echo "drained $server"
done
"""


def syn(port):
    """The first packet of a connection."""
    return IP(src="198.51.100.7", dst="192.0.2.1") / TCP(sport=port, dport=80)


def test_a_server_goes_when_its_connections_have_gone(kernel, ipvs_run):
    """The controller waits for two connections; a minute of virtual time later they have timed out, and the server goes."""
    assert ipvs_run(["sh", "-c", CONTROLLER]).stdout == "ready\n"
    for port in range(1024, 1028):
        kernel.receive(syn(port))
    controller = ipvs_run.start(["sh", "-c", CONTROLLER], stdin="10.0.0.10\n")
    controller.go_on(0.5)
    assert "10.0.0.10:80" in ipvs_run(["ipvsadm", "-Sn"]).stdout
    kernel.advance(61)
    controller.until(lambda: "drained" in controller.stdout)
    assert "10.0.0.10:80" not in ipvs_run(["ipvsadm", "-Sn"]).stdout
