"""The express lane: plain packets in batches, decided in C (:meth:`ipvssim.kernel.Kernel.receive_many`)."""

from __future__ import annotations

from ipvssim.lane.batch import Batch, Packed
from ipvssim.lane.lane import Lane
from ipvssim.lane.native import compiled
from ipvssim.lane.run import receive_many

__all__ = ["Batch", "Lane", "Packed", "compiled", "receive_many"]
