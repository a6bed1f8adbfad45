"""How held calls and their callers' memory are reached: in C where it was built, else in Python. Both do the same."""

from __future__ import annotations

from ipvssim.run.core import core

if core is not None:
    from ipvssim.run.native import Listener as Listener
    from ipvssim.run.native import fill as fill
    from ipvssim.run.native import gathered as gathered
    from ipvssim.run.native import message as message
    from ipvssim.run.native import put as put
    from ipvssim.run.native import read as read
    from ipvssim.run.native_gate import Gate as Gate
else:
    from ipvssim.run.memory import put as put
    from ipvssim.run.memory import read as read
    from ipvssim.run.messages import fill as fill
    from ipvssim.run.messages import gathered as gathered
    from ipvssim.run.messages import message as message
    from ipvssim.run.notify import Listener as Listener  # type: ignore[assignment]
    from ipvssim.run.passing import Gate as Gate  # type: ignore[assignment]
