# Everything starts here: `make demo` and `make test` do their own set-up. GNU make and bash.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := train,export,plugins,rtx,serve,video,docs,dev
STAMP := $(VENV)/.installed
DIST := build/dist
TYPES := build/types
SITE := build/site
# Of `make fast`: tests of what changed since this commit.
SINCE ?= main
# One package per root folder: the lines of package_dir in setup.cfg.
PACKAGES := $(shell sed -n 's/^ *\(spair\.[a-z]*\) = [a-z]*$$/\1/p' setup.cfg)
BENCHMARKS := $(sort $(wildcard benchmarks/[a-z]*.py benchmarks/cpu/[a-z]*.py))

# Releases of NVIDIA's bindings, see tests/emulated/README.md.
BINDINGS ?= 10.3 11.4
FIGURES ?= tests/faults/figures.json
EMULATED := tests/emulated tests/runtime/cuda tests/runtime/engine
# Of `make fuzz`: requests, and files of each kind.
N ?= 10000
# An environment of its own: Ray is large, and no other test needs it.
RAY_VENV ?= .venv-ray

.PHONY: help setup demo test whole emulated aarch64 ray networks fuzz faults replicas overload fast fix docs bench lint types wheel plain templates clean

help:
	@echo "make demo    restore sample photos end to end; table on the screen, report and pictures in demo/"
	@echo "make test    lint, types and the whole test suite (what CI runs)"
	@echo "make whole   the test suite with all cases of the longest tables, of which make test takes some"
	@echo "make emulated  the tests of the emulated GPU on NVIDIA's Python bindings (BINDINGS='$(BINDINGS)')"
	@echo "make aarch64  install the wheel for ARM on an emulated ARM, and restore pictures there (six minutes)"
	@echo "make ray     the tests of a cluster on a real Ray, in $(RAY_VENV)"
	@echo "make networks  export, calibrate and parse known networks; the figures go to docs/networks.md (hours)"
	@echo "make fuzz    ten thousand mutated requests to a server, and as many files of each kind (N=10000)"
	@echo "make faults  kill, fill and refuse wherever something is written, at every step; the figures go to docs/reliability.md"
	@echo "make replicas  two servers behind HAProxy, one killed and one restarted under load"
	@echo "make overload  an hour of twice the load that a server can take"
	@echo "make fast    only the tests of what changed since a commit (SINCE=main)"
	@echo "make fix     ruff: mend what it can, and format"
	@echo "make docs    the documentation site, in $(SITE)"
	@echo "make setup   only make $(VENV) with the pinned dependencies (PYTHON=python3.12 picks another interpreter)"
	@echo "make bench   run every benchmark"
	@echo "make wheel   the wheels for x86-64 and ARM with compiled kernels, and the plain one, in $(DIST)"
	@echo "make templates  after the shipped weights or the exporter changed: export them all, and write their templates"
	@echo "make lint    ruff: rules and format"
	@echo "make clean   remove what the targets made, except $(VENV) and $(RAY_VENV)"

setup: $(STAMP)

$(BIN)/python:
	@command -v "$(PYTHON)" > /dev/null || \
	  { echo "make setup: no command $(PYTHON); name a Python 3.10 to 3.12 with make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 12) else \
	  "make setup: $(PYTHON) is Python %d.%d, spair-rt needs 3.10 to 3.12; name one with make PYTHON=python3.12" % v)'
	@"$(PYTHON)" -c 'import ensurepip, venv' 2> /dev/null || \
	  { echo "make setup: $(PYTHON) cannot make virtual environments (no ensurepip); on Debian and Ubuntu:" \
	    "apt-get install python$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

# Set-up tools first and without build isolation, so that the build is pinned as well.
$(STAMP): setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'
	@# The extra networks without torchvision, which fails beside torch of another index and is not imported.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps spandrel einops
	$(BIN)/python -m spair.runtime.cpu.library.wheels
	@touch $@

demo: $(STAMP)
	$(BIN)/spair demo --out demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fix: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Warnings are errors: a link or a page that is not found fails. The repository is the source folder, see docs/conf.py.
docs: $(STAMP)
	$(BIN)/python -m sphinx -b html -W --keep-going -q -c docs -d build/doctrees . $(SITE)
	@echo "$(SITE)/index.html"

# For each architecture that a compiler is installed for, with the kernels of the processor; the plain one is for all others.
wheel: plain
	$(BIN)/python -m spair.runtime.cpu.library.wheels $(DIST)/*-py3-none-any.whl

# setuptools copies into build/lib and never removes from it: a deleted module would stay in the wheel.
plain: $(STAMP)
	@rm -rf build/lib build/bdist.* $(DIST)
	@mkdir -p build
	$(BIN)/python -m build --wheel --no-isolation --outdir $(DIST) . > build/wheel.log 2>&1 || { cat build/wheel.log >&2; exit 1; }

# Committed, since a wheel is also built where there is no torch; tests/test_shipped.py says when they are out of date.
templates: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m spair.export.templates

# mypy sees what a user installs: the wheel in the site-packages of an interpreter of its own (so that py.typed and
# package_dir count), the dependencies through a .pth line. Paths in the messages are put back to the sources'.
types: plain
	@rm -rf $(TYPES)
	@$(BIN)/python -m venv --without-pip $(TYPES)
	@site="$$($(TYPES)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --target "$$site" $(DIST)/*.whl; \
	  $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$site/dependencies.pth"
	$(BIN)/mypy --python-executable $(TYPES)/bin/python $(PACKAGES:%=-p %) | sed 's#^.*/site-packages/spair/##'

test: lint types
	OMP_NUM_THREADS=1 SPAIR_WHEEL="$$(echo $(CURDIR)/$(DIST)/*.whl)" $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

whole: $(STAMP)
	OMP_NUM_THREADS=1 SPAIR_WHOLE=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Each in a process of its own, since a process can load one release. One that fails does not stop the others.
emulated: $(STAMP)
	@failed=; for name in $(BINDINGS); do \
	    echo "== bindings $$name"; \
	    OMP_NUM_THREADS=1 SPAIR_SOAK=1 SPAIR_TEST_BINDINGS=$$name $(BIN)/python -m pytest $(EMULATED) || failed+=" $$name"; \
	  done; [ -z "$$failed" ] || { echo "make emulated: failed:$$failed" >&2; exit 1; }

# A Debian for ARM in $SPAIR_TEST_CACHE, whose programs QEMU runs; see tests/aarch64/README.md.
aarch64: wheel
	OMP_NUM_THREADS=1 SPAIR_AARCH64="$$(echo $(CURDIR)/$(DIST)/*aarch64.whl)" $(BIN)/python -m pytest tests/aarch64

ray: | $(BIN)/python
	"$(BIN)/python" -m venv $(RAY_VENV)
	$(RAY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools
	$(RAY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation \
	  -e '.[ray]' pytest
	OMP_NUM_THREADS=1 $(RAY_VENV)/bin/python -m pytest tests/serving/cluster/laws

networks: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.docs.networks

fuzz: $(STAMP)
	OMP_NUM_THREADS=1 SPAIR_FUZZ=$(N) $(BIN)/python -m pytest tests/serving/laws/test_fuzz.py tests/fuzz

# FIGURES: where the numbers of docs/reliability.md are kept.
faults: $(STAMP)
	OMP_NUM_THREADS=1 SPAIR_FAULTS=$(FIGURES) $(BIN)/python -m pytest tests/faults
	$(BIN)/python -m tests.faults.figures $(FIGURES)

replicas: $(STAMP)
	OMP_NUM_THREADS=1 SPAIR_REPLICAS=1 $(BIN)/python -m pytest tests/serving/deploy/laws/test_replicas.py

overload: $(STAMP)
	OMP_NUM_THREADS=1 SPAIR_LOAD_SECONDS=3600 $(BIN)/python -m pytest tests/serving/laws/test_overload.py

fast: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python tests/changed.py --since $(SINCE)

# As modules from the root, so that they can share code (benchmarks.peers). One that fails does not stop the others.
bench: $(STAMP)
	@failed=; for script in $(BENCHMARKS); do \
	    echo "== $$script"; module="$${script%.py}"; $(BIN)/python -m "$${module//\//.}" || failed+=" $$script"; \
	  done; [ -z "$$failed" ] || { echo "make bench: failed:$$failed" >&2; exit 1; }

clean:
	rm -rf build dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
