"""A userspace twin of the Linux kernel's IPVS: the same netlink bytes, the same packets, no root."""
