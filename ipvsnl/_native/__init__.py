"""The C core. :mod:`ipvsnl.backends.native` is its only caller, ``core.h`` its contract, ``build.py`` its build."""
