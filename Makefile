# Everything below makes its own environment in .venv; nothing else has to be installed first.
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
RUN := .venv/bin
SNAKEMAKE := $(RUN)/snakemake --cores $(CORES)

.PHONY: demo test study resume lint clean

demo: .venv/ready ## the whole pipeline on the embedded world, offline, on CPU
	$(SNAKEMAKE)
	@$(RUN)/framecast show

test: .venv/ready ## the test suite
	$(RUN)/python -m pytest

study: .venv/ready ## larger budgets, three seeds: where quality is judged
	$(SNAKEMAKE) --configfile config/study.yaml --directory study
	@$(RUN)/framecast show study/results

resume: .venv/ready ## go on after a kill; FLAGS="--configfile config/study.yaml --directory study" for the study
	@$(RUN)/python -m framecast.workflow.running $(FLAGS)
	$(SNAKEMAKE) $(FLAGS) --unlock
	$(SNAKEMAKE) $(FLAGS) --rerun-incomplete

lint: .venv/ready ## what the test suite checks of style
	$(RUN)/ruff check . && $(RUN)/ruff format --check . && $(RUN)/mypy
	$(RUN)/snakefmt --check Snakefile workflow && $(RUN)/snakemake --lint

# torch comes first: later, a plain `torch` of some other package would bring in gigabytes of CUDA libraries.
.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "framecast needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(RUN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch .venv/ready

clean: ## remove the environment and what was built, never config or data
	rm -rf .venv results study .snakemake
