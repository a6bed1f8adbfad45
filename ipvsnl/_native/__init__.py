"""The C core. :mod:`ipvsnl.backends.native` is its only caller; ``core.h`` is its contract, ``build.py`` compiles it."""
