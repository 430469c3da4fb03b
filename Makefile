# The small things people do every day. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
export PATH := $(abspath $(VENV))/bin:$(PATH)

.PHONY: help setup demo test lint check-slow verify-model constraints clean

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 16

setup: $(VENV)/.installed  ## make .venv with exact versions: screening, pipeline and tests

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[pipeline,dev]'
	touch $@

demo: setup      ## fetch the sample, run the nine stages, screen the sample's files, show metrics and summary
	dvc pull data
	dvc repro
	dvc metrics show
	cxr-batch data -o results.csv --exclude masks --model models/screening --overwrite

test: setup      ## lint, types and tests; without the long checks
	ruff check .
	ruff format --check .
	mypy
	pytest -m 'not long'

check-slow: setup  ## the long checks: a rebuild in a fresh copy, kills, full disks, 20,000 files; then the benchmarks
	pytest -m long
	python benchmarks/help_time.py
	python benchmarks/screening.py --large

verify-model: setup  ## recompute sha256 and test metrics of the packaged model: make verify-model DATA=folder
	cxr-model verify '$(DATA)'

constraints: setup  ## write constraints.txt from the versions in .venv
	pip freeze --exclude-editable | grep -E '^[A-Za-z0-9_.-]+==' > constraints.txt

clean:           ## remove what a run leaves, but neither data/ nor the cache
	rm -rf work models results.* .results.* .pytest_cache .mypy_cache .ruff_cache
