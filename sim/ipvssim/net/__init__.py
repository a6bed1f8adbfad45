"""Packets and the network that they travel: views on bytes, checksums, fragments, ICMP, options, routes, devices."""
