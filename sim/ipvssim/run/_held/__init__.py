"""The C of :mod:`ipvssim.run`: see ``held.h``, and :mod:`ipvssim.run.native`, which speaks to it."""
