# Each target creates .venv if necessary, and updates it when pyproject.toml changes.
# PYTHON=python3.12 make demo uses another interpreter (3.11 or later).
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# The demo needs less than the tests do; an environment that has everything will do.
DEMO_READY := $(if $(wildcard $(READY)),$(READY),.venv/.ready-demo)
DATA := demo-data
SNELLEN := $(BIN)/snellen

# The tests start hundreds of processes; without bytecode each of them compiles every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-fast check docs bench bench-serve load-goals
.DEFAULT_GOAL := help

help:
	@echo "make demo       train a small classifier; evaluate, compare, gate, predict and report"
	@echo "make test       run all tests and measure the coverage"
	@echo "make test-fast  run all tests except slow ones and those that start Ray, in under 5 minutes"
	@echo "make check      run ruff, codespell, mypy, import rules, structure tests, doctests, make docs"
	@echo "make docs       build the documentation as a site, in build/site"
	@echo "make bench      run the benchmarks; for the HTTP service: make bench-serve, make load-goals"

$(READY): EXTRAS := dev
.venv/.ready-demo: EXTRAS := demo,serve
$(READY) .venv/.ready-demo: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python " + sys.version.split()[0] + " is too old. Expected 3.11 or later. Set another interpreter: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else 0'
	@echo "Creating .venv: downloads a few GB, mostly PyTorch, and takes some minutes the first time ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]'
	@touch $@

$(DATA)/digits/.ready: examples/digits/make_dataset.py | $(DEMO_READY)
	@$(BIN)/python examples/digits/make_dataset.py --root $(DATA)/digits
	@touch $@

$(DATA)/digits/runs/.ready: examples/digits/train.py $(DATA)/digits/.ready | $(DEMO_READY)
	@$(BIN)/python examples/digits/train.py --root $(DATA)/digits
	@touch $@

$(DATA)/photographs/.ready: examples/photographs/make_dataset.py | $(DEMO_READY)
	@$(BIN)/python examples/photographs/make_dataset.py --root $(DATA)/photographs
	@touch $@

demo: $(DEMO_READY) $(DATA)/digits/.ready $(DATA)/digits/runs/.ready $(DATA)/photographs/.ready
	@echo; echo "== snellen register (the training run)"
	@$(SNELLEN) register "$$(ls -d $(DATA)/digits/runs/*/ | tail -n 1)" --name digits
	@echo; echo "== snellen eval configs/digits.yaml model.checkpoint=3 (an early checkpoint)"
	@$(SNELLEN) eval configs/digits.yaml model.checkpoint=3 name=digits-epoch-3
	@echo; echo "== snellen eval configs/digits.yaml (the best one)"
	@$(SNELLEN) eval configs/digits.yaml
	@echo; echo "== snellen compare digits-epoch-3 digits (which one is better, and on which images)"
	@$(SNELLEN) compare digits-epoch-3 digits
	@echo; echo "== snellen gate digits --baseline digits-epoch-3 --rules examples/ci/gate.yaml (the check for CI)"
	@$(SNELLEN) gate digits --baseline digits-epoch-3 --rules examples/ci/gate.yaml
	@echo; echo "== snellen predict --job digits $(DATA)/digits/test/4/1628.png (an image without a label)"
	@$(SNELLEN) predict --job digits $(DATA)/digits/test/4/1628.png
	@echo; echo "== snellen eval configs/photographs.yaml (an ImageNet model on photographs)"
	@$(SNELLEN) eval configs/photographs.yaml
	@echo; echo "== snellen report digits --compare digits-epoch-3 -o $(DATA)/report.html"
	@$(SNELLEN) report digits --compare digits-epoch-3 -o $(DATA)/report.html --overwrite
	@echo
	@echo "Open this page:  file://$(CURDIR)/$(DATA)/report.html"
	@echo "All runs:        . $(BIN)/activate && snellen serve configs/serve.yaml, then http://127.0.0.1:8000"
	@echo "In the terminal: snellen images digits --incorrect --sort confidence --desc"
	@echo "                 snellen errors digits"
	@echo "                 snellen show digits --per-class --confusion"
	@echo "Results: runs/ (one folder per run; the run tables are in runs/snellen.db)"
	@echo "Images:  $(DATA)/digits/test and $(DATA)/photographs/images"

COVER := --cov --cov-report=
PARALLEL := not ray and not browser
FAST := $(PARALLEL) and not slow

# Run the tests that start Ray or a browser serially, the others in parallel; the coverage of both together is gated.
test: $(READY)
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(COVER) --cov-fail-under=0 -m "$(PARALLEL)"
	@$(BIN)/python -m pytest -q $(COVER) --cov-append -m "not ($(PARALLEL))"

test-fast: $(READY)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "$(FAST)"

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/structure
	@$(BIN)/python -m pytest -q --doctest-modules metrics
	@$(MAKE) --no-print-directory docs

# Without the notice of the theme about its successor.
docs: $(READY)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: $(READY)
	@$(BIN)/python benchmarks/run_all.py

bench-serve: $(READY)
	@$(BIN)/python -m benchmarks.serve

load-goals: $(READY)
	@$(BIN)/python -m benchmarks.load_goals
