"""``export --node-names``: the series that node_exporter's dashboards read."""

from __future__ import annotations

import io

import pytest

from ipvsnl.cli.main import execute
from ipvssim import Kernel


def test_series_have_node_exporters_names_and_labels() -> None:
    """Totals of the node, and of each real server weight and connections; without the option there are none."""
    pytest.importorskip("prometheus_client")
    kernel = Kernel()
    kernel.connect().load(
        "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 3\n-A -f 10 -s rr\n-a -f 10 -r 10.0.0.2 -g"
    )

    def exported(*words: str) -> str:
        out = io.StringIO()
        assert execute(["export", *words], kernel.connect, io.StringIO(), out, out) == 0
        return out.getvalue()

    lines = exported("--node-names").splitlines()
    assert "node_ipvs_connections_total 0.0" in lines
    labels = 'local_address="192.0.2.1",local_mark="",local_port="80",proto="TCP",remote_address="10.0.0.1",'
    labels += 'remote_port="8080"'
    assert f"node_ipvs_backend_weight{{{labels}}} 3.0" in lines
    assert any('local_mark="0000000A"' in line and 'proto="FWM"' in line for line in lines)
    assert "node_ipvs" not in exported()
