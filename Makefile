# Two commands do everything on a machine with Python 3.10+, g++ and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SOURCES := setup.py pyproject.toml constraints.txt $(shell find csrc -type f) $(shell find udsph -name '*.pyx' -o -name '*.pxd')

.PHONY: demo test lint clean bench bench-check sanitize tsan emulate portable gpu dist docs bench-site bench-record

# The demo needs what training needs (1.5 GB installed); tests, linters and benchmarks the rest, in the same environment.
demo: $(VENV)/train
	$(BIN)/udsph demo --output demo-output

test: $(VENV)/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not cluster" tests
	OMP_NUM_THREADS=1 timeout 600 tests/distributed/alone.sh $(BIN)/python -m pytest -m cluster tests/distributed

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The table of bench/README.md (about ten minutes), and a check that every benchmark runs (seconds).
bench: $(VENV)/dev
	$(BIN)/python bench/hamming.py --output bench/results

bench-check: $(VENV)/dev
	cd bench && ../$(BIN)/asv machine --yes > /dev/null
	cd bench && OMP_NUM_THREADS=1 UDSPH_BENCH_SMALL=1 ../$(BIN)/asv check -E existing
	cd bench && OMP_NUM_THREADS=1 UDSPH_BENCH_SMALL=1 ../$(BIN)/asv run --quick --dry-run --show-stderr -E existing:same \
	    --bench 'bench_hamming|bench_import|bench_watch'
	$(BIN)/python bench/hamming.py --quick
	UDSPH_BENCH_SMALL=1 $(BIN)/python bench/regression.py . . --pairs 2 --slower 1000
	$(BIN)/python bench/trend.py --check

# What became of the watched cases from release to release: the table of bench/README.md is what the results give, and asv's pages
# are laid beside the documentation. bench-record measures the commit that is checked out (MACHINE=name).
bench-site: docs $(VENV)/dev
	$(BIN)/python bench/trend.py --check
	$(BIN)/python bench/trend.py --site build/site/speed

bench-record: $(VENV)/dev
	$(BIN)/python bench/record.py $(MACHINE)
	$(BIN)/python bench/trend.py

# Native code under AddressSanitizer and UndefinedBehaviorSanitizer, on a reduced suite.
sanitize: $(VENV)/dev
	tests/native/sanitize.sh $(BIN)/python

# Searches, additions, removals and saving from many threads at once under ThreadSanitizer.
tsan: $(VENV)/dev
	tests/native/thread_sanitize.sh $(BIN)/python

# The levels for ARM under emulation, and dispatch on an x86 CPU without AVX-512 and one without AVX2.
emulate:
	tests/native/emulate.sh

# The kernels under clang and under g++ for Windows, syntax and types only.
portable:
	tests/native/portable.sh

# The source distribution and a wheel built from it, in dist/, tried in an environment without a compiler. PYTHONS="python3.10 ..."
# names other interpreters.
PYTHONS ?= $(PYTHON)
dist:
	tests/packages/dist.sh dist $(PYTHONS)

# The documentation as a site, in build/site: a broken link, a page without a place or a public name without a docstring is an error.
# The examples on its pages are run by the tests.
docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

# What needs a GPU: build, tests, sanitizers, tables, in less than eight minutes; without one the kernels run by emulation. In the
# environment of the tests where it is there, else with PYTHON as it is (torch, pytest, pybind11, NumPy and Cython are needed).
gpu:
	$(if $(wildcard $(VENV)/dev),$(BIN)/python,$(PYTHON)) bench/gpu.py --output $(or $(OUT),gpu-results)

clean:
	rm -rf $(VENV) build dist demo-output gpu-results

# The package is compiled and installed once, and again when its sources or requirements change; each extra that is
# needed is then added to it: pip finds udsph itself installed and fetches the packages that the extra names. The mode
# "compat" lets type checkers and editors see the package too.
$(VENV)/created:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/package: $(VENV)/created $(SOURCES)
	$(PIP) --config-settings editable_mode=compat -e .
	touch $@

$(VENV)/train $(VENV)/dev $(VENV)/docs: $(VENV)/%: $(VENV)/package
	$(PIP) 'udsph[$*]'
	touch $@
