VENV ?= .venv
PY := $(VENV)/bin/python
SEEDS ?= 200

.PHONY: demo test lint bench kernel-test clean

demo: $(VENV)/.ready ; $(PY) bench/demo.py
test: $(VENV)/.ready lint ; $(PY) -m pytest
lint: $(VENV)/.ready ; $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
bench: $(VENV)/.ready ; $(PY) -m pytest bench --benchmark-only
clean: ; rm -rf $(VENV) build *.egg-info ipvsnl/_native/_core* ipvsnl/_native/generated*

$(VENV)/.ready: setup.py pyproject.toml $(wildcard ipvsnl/_native/*.[ch]) ipvsnl/_native/build.py ipvsnl/family.py
	python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --editable '.[dev]'
	touch $@
