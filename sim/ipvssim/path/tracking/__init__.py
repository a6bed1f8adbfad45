"""Connection tracking (nf_conntrack) as far as IPVS meets it: the kernel's entries beside IPVS's own connections."""

from ipvssim.path.tracking.tracker import Tracker

__all__ = ["Tracker"]
