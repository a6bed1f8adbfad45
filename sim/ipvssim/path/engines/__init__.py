"""Persistence engines: what of a packet recognises a client, besides its address."""

from ipvssim.path.engines import sip

__all__ = ["sip"]
