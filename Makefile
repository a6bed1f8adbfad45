VENV ?= .venv
PY := $(VENV)/bin/python
SEEDS ?= 200
# 1 where the C core can be built: then its failure is an error, and so is every warning.
STRICT = $(shell command -v cc >/dev/null && python3 -c 'import os, sysconfig; print(int(os.path.exists(sysconfig.get_path("include") + "/Python.h")))')

.PHONY: demo test lint bench kernel-test clean

demo: $(VENV)/.ready ; $(PY) bench/demo.py
test: $(VENV)/.ready lint ; $(PY) -m pytest
lint: $(VENV)/.ready ; $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
bench: $(VENV)/.ready ; $(PY) -m pytest bench --benchmark-only
clean: ; rm -rf $(VENV) build *.egg-info ipvsnl/_native/_core* ipvsnl/_native/generated*

$(VENV)/.ready: setup.py pyproject.toml ipvsnl/family.py ipvsnl/consts.py $(filter-out %/_core.c %/generated%,$(wildcard ipvsnl/_native/*.[ch] ipvsnl/_native/build.py))
	python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	IPVSNL_STRICT=$(STRICT) $(PY) -m pip install --quiet --editable '.[dev]'
	@$(PY) -c 'import ipvsnl; print("ipvsnl is set up; its bytes are made by the", ipvsnl.backend, "backend")'
	@[ "$(STRICT)" = 1 ] || echo 'No compiler or no Python.h here (apt-get install gcc python3-dev): the C backend was left out.'
	touch $@
