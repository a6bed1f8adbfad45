"""The generic-netlink family: request bytes in, reply bytes out, refusals in the kernel's order."""
