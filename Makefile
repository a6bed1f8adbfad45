VENV ?= .venv
PY := $(VENV)/bin/python
# Processes that share the files of tests in `make test`.
JOBS ?= 2
# Random traces of each kind that `make kernel-test` records and compares, and the minutes it may take for that.
SEEDS ?= 18
MINUTES ?= 7
# Kinds of traces that it records on one other kernel, each day another, if it can be had.
TURN ?= limits growth shrinking hooks hashed reuse nodest dead settings replies narrow corners pieces states ftp_tracked tracked_cases tracked_reuse tracked_sctp
# Seconds of `make fuzz`: for the packet path, and for all readers.
FUZZ ?= 600
# Inputs of `make fuzz` without instrumentation, over all readers.
INPUTS ?= 1000000
# Random packets that each of two processes of `make test-compiled` hands to the express lane.
PACKETS ?= 500000
# Kills of `make soak`, and their seed.
KILLS ?= 10000
SEED ?= 1
LANES = PYTHONPATH=$(CURDIR) build/compiled/bin/python -P -m tests.ipvssim.lane.streams
LAB = $(VENV)/bin/ipvsnl lab-kernel --as-root --
# Suites that run on the simulated kernel by `make test` and on the real one by `make kernel-test`.
ON_BOTH = tests/ipvsnl/test_client.py tests/ipvsnl/test_aio.py tests/ipvsnl/bulk/test_bulk.py tests/ipvsnl/bulk/test_bulk_columns.py
# Suites that boot kernels themselves, and so run outside of one.
BOOTS = tests/kernel/test_lab_kernel.py tests/kernel/test_lab_user.py
# Suites that run without the C core, the compiler and what only developers install.
CTYPES = tests/ipvsnl/test_client.py tests/ipvsnl/test_values.py tests/ipvsnl/cli tests/ipvsnl/tables tests/ipvssim
# Suites that run on the compiled simulator, too.
COMPILED = tests/ipvssim/path tests/ipvssim/lane tests/ipvssim/schedulers tests/ipvssim/net tests/ipvssim/state tests/ipvssim/doors/test_traces.py tests/ipvssim/doors/test_capture_lane.py tests/ipvssim/lab/test_runs.py tests/ipvssim/lab/test_express.py tests/ipvssim/test_clock.py tests/ipvssim/test_idle.py tests/ipvssim/test_kernel.py
# 1 where the C core can be built: then its failure is an error, and so is every warning.
STRICT = $(shell command -v cc >/dev/null && python3 -c 'import os, sysconfig; print(int(os.path.exists(sysconfig.get_path("include") + "/Python.h")))')

# Where distributions are built, with what, and the version that is built.
DIST = build/dist
TOOLS = build/tools
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
# `make release UPLOAD=1` goes on to PyPI; without it the release stops before.
UPLOAD ?=

.PHONY: demo test test-ctypes test-compiled lint coverage docs man bench kernel-test run-test fidelity fuzz soak dist wheels release publish clean

demo: $(VENV)/.ready ; $(PY) bench/demo.py
test: $(VENV)/.ready lint ; $(PY) -m pytest -n $(JOBS) --dist loadfile
lint: $(VENV)/.ready ; $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
coverage: $(VENV)/.ready ; $(PY) -m pytest --cov --cov-report=term:skip-covered --cov-report=html:build/coverage
# The site, into build/site. A broken link, a public name without a docstring, or one that is on no page fails.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
# The pages docs/man/*.1, from what the programs say of themselves.
man: $(VENV)/.ready ; $(PY) -m tests.manual_pages
# What a machine without a compiler has: the wheel without the C core, and the tests of whatever does not need one.
test-ctypes:
	python3 -m venv build/ctypes
	CC=/nonexistent build/ctypes/bin/pip install --quiet '.[sim,lab]' 'pytest>=8' 'hypothesis>=6.100'
	build/ctypes/bin/python -P -c 'import ipvsnl; assert ipvsnl.backend == "ctypes", ipvsnl.backend'
	IPVSNL_BACKEND=ctypes build/ctypes/bin/python -P -m pytest -o pythonpath=. $(CTYPES)
# The simulator's hot modules compiled, in an environment of their own: the same tests, the same answer to 300,000 packets, and
# twice PACKETS random ones by the express lane and without it.
test-compiled: $(VENV)/.ready
	python3 -m venv build/compiled
	IPVSNL_STRICT=1 IPVSSIM_COMPILE=1 build/compiled/bin/pip install --quiet '.[sim,lab]' 'pytest>=8' 'hypothesis>=6.100' 'setuptools>=77'
	build/compiled/bin/python -P -c 'import ipvssim; assert ipvssim.compiled'
	build/compiled/bin/python -P -m pytest -q -o pythonpath=. $(COMPILED)
	PYTHONPATH=$(CURDIR) build/compiled/bin/python -P -m tests.ipvssim.digest >build/compiled/digest
	$(PY) -m tests.ipvssim.digest | diff build/compiled/digest -
	$(LANES) $(PACKETS) 1 & other=$$!; $(LANES) $(PACKETS) 2 && wait $$other
kernel-test: $(VENV)/.ready
	$(PY) -m pytest -m kernel $(BOOTS)
	$(LAB) env IPVSNL_TEST_TARGET=kernel $(PY) -m pytest -m kernel -p no:cacheprovider tests/kernel $(BOOTS:%=--ignore=%)
	$(LAB) env IPVSNL_TEST_TARGET=kernel IPVSNL_BACKEND=native $(PY) -m pytest -p no:cacheprovider $(ON_BOTH)
	$(LAB) env IPVSNL_TEST_TARGET=kernel IPVSNL_BACKEND=ctypes $(PY) -m pytest -p no:cacheprovider tests/ipvsnl/test_client.py
	$(LAB) env IPVSNL_TEST_TARGET=kernel $(PY) -m pytest -p no:cacheprovider tests/ipvsnl/tables/test_apply.py tests/ipvsnl/test_explanations.py tests/e2e/test_operating.py
	$(PY) -m tests.kernel.compare --seeds $(SEEDS) --minutes $(MINUTES)
	$(PY) -m tests.kernel.compare --release turn --seeds 1 --kinds $(TURN) --report build/fidelity-turn.md
# Suites of clients of the real kernel, on the simulated one by `ipvssim run`, without root.
run-test: $(VENV)/.ready
	IPVSNL_TEST_TARGET=kernel $(VENV)/bin/ipvssim run -- $(PY) -m pytest -p no:cacheprovider tests/ipvsnl/test_client.py tests/ipvsnl/test_aio.py tests/ipvsnl/bulk/test_bulk_columns.py tests/ipvsnl/test_explanations.py
# The table of `make kernel-test`, written to the page of docs that shows the kernel's release (IPVSNL_LAB_KERNEL: another one).
fidelity: $(VENV)/.ready ; $(PY) -m tests.kernel.compare --seeds $(SEEDS) --minutes $(MINUTES) --page
bench: $(VENV)/.ready test-compiled
	mkdir -p build/bench
	$(PY) bench/kernel_bench.py
	$(PY) bench/kernel_bench.py --spread
	$(PY) -m pytest bench --benchmark-only --benchmark-json=build/bench/host.json
	$(PY) -m bench.compiled
	$(PY) -m bench.lane
	$(PY) -m bench.profiled
	$(PY) -m bench.flows
	$(PY) -m bench.captures
	$(PY) bench/report.py
fuzz: $(VENV)/.ready
	$(PY) -m pip install --quiet atheris
	$(PY) -m tests.fuzz.fuzz_director -max_total_time=$(FUZZ) -max_len=4000
	$(PY) -m tests.fuzz.fuzz_readers all -max_total_time=$(FUZZ) -max_len=2000
	$(PY) -m tests.fuzz.campaign --inputs $(INPUTS)
soak: $(VENV)/.ready ; $(PY) -m tests.soak.kills --kills $(KILLS) --seed $(SEED)
# The source distribution and this machine's wheel, looked over.
dist: $(TOOLS)/.ready
	rm -rf $(DIST)
	$(TOOLS)/bin/check-manifest
	IPVSNL_STRICT=$(STRICT) $(TOOLS)/bin/python -m build --outdir $(DIST) .
	$(TOOLS)/bin/twine check --strict $(DIST)/*
# The wheels of Linux on x86-64 and aarch64, for glibc and musl: in docker (another machine's by qemu).
wheels: $(TOOLS)/.ready
	$(TOOLS)/bin/pip install --quiet cibuildwheel
	$(TOOLS)/bin/cibuildwheel --platform linux --output-dir $(DIST)
# Everything of a release but the upload: what is checked in is what is built, and it is tagged.
release:
	@git diff --quiet HEAD || { echo 'There are changes that are not checked in.'; exit 1; }
	@grep -q '^## \[$(VERSION)\] - 20' CHANGELOG.md || { echo 'CHANGELOG.md has no section "## [$(VERSION)] - DATE".'; exit 1; }
	@grep -q '^__version__ = "$(VERSION)"' ipvsnl/__init__.py || { echo 'ipvsnl/__init__.py has another version.'; exit 1; }
	$(MAKE) dist
	git tag --annotate --message 'ipvsnl $(VERSION)' v$(VERSION)
	@[ -n "$(UPLOAD)" ] || echo 'Tagged, and in $(DIST). To publish: make publish (and git push origin v$(VERSION)).'
	@[ -z "$(UPLOAD)" ] || $(MAKE) publish
publish: $(TOOLS)/.ready ; $(TOOLS)/bin/twine upload $(DIST)/*
clean: ; rm -rf $(VENV) build *.egg-info ipvsnl/_native/_core* ipvsnl/_native/generated* sim/ipvssim/lane/_lane* sim/ipvssim/run/_held/_held.*

$(VENV)/.ready: setup.py pyproject.toml ipvsnl/family.py ipvsnl/consts.py $(filter-out %/_core.c %/generated%,$(wildcard ipvsnl/_native/build.py ipvsnl/_native/*.[ch] ipvsnl/_native/*/*.[ch])) $(filter-out %/_lane.c,$(wildcard sim/ipvssim/lane/build.py sim/ipvssim/lane/*.[ch])) $(filter-out %/_held.c,$(wildcard sim/ipvssim/run/_held/build.py sim/ipvssim/run/_held/*.[ch]))
	python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	IPVSNL_STRICT=$(STRICT) $(PY) -m pip install --quiet --editable '.[dev]'
	@$(PY) -c 'import ipvsnl; print("ipvsnl is set up; its bytes are made by the", ipvsnl.backend, "backend")'
	@[ "$(STRICT)" = 1 ] || echo 'No compiler or no Python.h here (apt-get install gcc python3-dev): the C backend was left out.'
	touch $@
$(TOOLS)/.ready:
	python3 -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet build check-manifest twine
	touch $@
$(VENV)/.docs: $(VENV)/.ready
	$(PY) -m pip install --quiet --editable '.[docs]'
	touch $@
