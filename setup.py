"""Build of ipvsnl: two import packages, one C extension (through cffi, API mode) generated from ``ipvsnl/family.py``."""

from setuptools import setup

setup(cffi_modules=["ipvsnl/_native/build.py:builder"])
