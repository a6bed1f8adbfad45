VENV ?= .venv
PY := $(VENV)/bin/python
# Random traces of each kind that `make kernel-test` records and compares, and the minutes it may take for that.
SEEDS ?= 18
MINUTES ?= 10
# Seconds of `make fuzz`.
FUZZ ?= 600
LAB = $(VENV)/bin/ipvsnl lab-kernel --
# Suites that run on the simulated kernel by `make test` and on the real one by `make kernel-test`.
ON_BOTH = tests/ipvsnl/test_client.py tests/ipvsnl/test_aio.py tests/ipvsnl/bulk/test_bulk.py tests/ipvsnl/bulk/test_bulk_columns.py
# 1 where the C core can be built: then its failure is an error, and so is every warning.
STRICT = $(shell command -v cc >/dev/null && python3 -c 'import os, sysconfig; print(int(os.path.exists(sysconfig.get_path("include") + "/Python.h")))')

.PHONY: demo test lint coverage docs bench kernel-test fidelity fuzz clean

demo: $(VENV)/.ready ; $(PY) bench/demo.py
test: $(VENV)/.ready lint ; $(PY) -m pytest
lint: $(VENV)/.ready ; $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
coverage: $(VENV)/.ready ; $(PY) -m pytest --cov --cov-report=term:skip-covered --cov-report=html:build/coverage
# The site, into build/site. A broken link, a public name without a docstring, or one that is on no page fails.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
kernel-test: $(VENV)/.ready
	$(PY) -m pytest -m kernel tests/kernel/test_lab_kernel.py
	$(LAB) env IPVSNL_TEST_TARGET=kernel $(PY) -m pytest -m kernel -p no:cacheprovider tests/kernel --ignore=tests/kernel/test_lab_kernel.py
	$(LAB) env IPVSNL_TEST_TARGET=kernel IPVSNL_BACKEND=native $(PY) -m pytest -p no:cacheprovider $(ON_BOTH)
	$(LAB) env IPVSNL_TEST_TARGET=kernel IPVSNL_BACKEND=ctypes $(PY) -m pytest -p no:cacheprovider tests/ipvsnl/test_client.py
	$(LAB) env IPVSNL_TEST_TARGET=kernel $(PY) -m pytest -p no:cacheprovider tests/ipvsnl/tables/test_apply.py tests/ipvsnl/test_explanations.py tests/e2e/test_operating.py
	$(PY) -m tests.kernel.compare --seeds $(SEEDS) --minutes $(MINUTES)
# The table of `make kernel-test`, written to the page of docs that shows the kernel's release (IPVSNL_LAB_KERNEL: another one).
fidelity: $(VENV)/.ready ; $(PY) -m tests.kernel.compare --seeds $(SEEDS) --minutes $(MINUTES) --page
bench: $(VENV)/.ready
	mkdir -p build/bench
	$(PY) bench/kernel_bench.py
	$(PY) bench/kernel_bench.py --spread
	$(PY) -m pytest bench --benchmark-only --benchmark-json=build/bench/host.json
	$(PY) bench/report.py
fuzz: $(VENV)/.ready ; $(PY) -m pip install --quiet atheris && $(PY) -m tests.fuzz.fuzz_director -max_total_time=$(FUZZ) -max_len=4000
clean: ; rm -rf $(VENV) build *.egg-info ipvsnl/_native/_core* ipvsnl/_native/generated*

$(VENV)/.ready: setup.py pyproject.toml ipvsnl/family.py ipvsnl/consts.py $(filter-out %/_core.c %/generated%,$(wildcard ipvsnl/_native/build.py ipvsnl/_native/*.[ch] ipvsnl/_native/*/*.[ch]))
	python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	IPVSNL_STRICT=$(STRICT) $(PY) -m pip install --quiet --editable '.[dev]'
	@$(PY) -c 'import ipvsnl; print("ipvsnl is set up; its bytes are made by the", ipvsnl.backend, "backend")'
	@[ "$(STRICT)" = 1 ] || echo 'No compiler or no Python.h here (apt-get install gcc python3-dev): the C backend was left out.'
	touch $@
$(VENV)/.docs: $(VENV)/.ready
	$(PY) -m pip install --quiet --editable '.[docs]'
	touch $@
