VENV ?= .venv
PY := $(VENV)/bin/python
SEEDS ?= 200

.PHONY: demo test lint bench kernel-test clean

demo: $(VENV)/.ready ; $(PY) bench/demo.py
test: $(VENV)/.ready lint ; $(PY) -m pytest
lint: $(VENV)/.ready ; $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
bench: $(VENV)/.ready ; $(PY) -m pytest bench --benchmark-only
clean: ; rm -rf $(VENV) build *.egg-info ipvsnl/_native/_core* ipvsnl/_native/generated*

$(VENV)/.ready: setup.py pyproject.toml ipvsnl/family.py ipvsnl/consts.py $(filter-out %/_core.c %/generated%,$(wildcard ipvsnl/_native/*.[ch] ipvsnl/_native/build.py))
	python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	IPVSNL_STRICT=1 $(PY) -m pip install --quiet --editable '.[dev]'
	touch $@
