# make demo     set everything up and run the main job on the demo set
# make test     set everything up and run the tests; make test-all runs many more of the same
# make laws     break each law of the design in a copy of the code: a test must fail
# make check    format, lint, types, layers, then make test
# make release-check  build sdist and wheel, and use them in new environments as a user does
# make docs     the documentation as a site in site/, warnings are errors
# make bench    the benchmarks that the README quotes (about three hours on 2 cores)

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Two processes share the cores here: threads that wait must not keep one busy (40 % of the tests' time), small
# matrices take one, and what is compiled once is not compiled again by each process that a test starts
PYTEST := OMP_WAIT_POLICY=PASSIVE OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: install demo test test-all test-fast laws check release-check docs bench clean

install: $(STAMP)

# version.py holds the version, which an editable installation keeps as it was when it was made
$(STAMP): pyproject.toml constraints.txt src/goldenrule/core/version.py
	$(PYTHON) -c "import sys; sys.exit('goldenrule needs Python 3.11 or newer, this is ' + sys.version.split()[0]) if sys.version_info < (3, 11) else None"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: install
	$(BIN)/goldenrule demo

test: install
	$(PYTEST) -m "not exhaustive"

test-all: install
	$(PYTEST)

test-fast: install
	$(PYTEST) -m "not slow and not exhaustive"

laws: install
	$(BIN)/python benchmarks/broken_laws.py

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file benchmarks/mypy.ini benchmarks
	$(BIN)/lint-imports
	$(MAKE) test

release-check: install
	$(BIN)/python tools/check_release.py $(ARGS)

docs: install
	$(BIN)/python -m sphinx -q -W --keep-going -a -E -j auto -c docs/site . site
	@echo "Open site/index.html in a browser."

bench: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/every_set.py
	$(BIN)/python benchmarks/root_head.py
	$(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/near_duplicates.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/interval_coverage.py
	$(BIN)/python benchmarks/label_errors.py
	$(BIN)/python benchmarks/augmented_views.py
	$(BIN)/python benchmarks/golden_rule.py
	$(BIN)/python benchmarks/blend.py
	$(BIN)/python benchmarks/peers.py --resume

clean:
	rm -rf site .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
