# The small things people do every day. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
export PATH := $(abspath $(VENV))/bin:$(PATH)
SHELL := bash
TRAININGS := $(filter-out train-gate,$(shell sed -n 's/^  train_\([a-z0-9]*\):.*/train-\1/p' dvc.yaml))

.PHONY: help setup demo repro-parallel test fuzz check-slow verify-model release constraints clean $(TRAININGS)

# DVC exits with 0 when the disk fills while it keeps a stage's outputs; only its status tells.
define all_kept
dvc status -q dvc.yaml || { echo "error: dvc status names what is not as dvc.lock says, and why; if the disk is full, \
free some space, then run the same command again" >&2; dvc status dvc.yaml >&2; exit 1; }
endef

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 16

setup: $(VENV)/.installed  ## make .venv with exact versions: screening, pipeline and tests

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[pipeline,dev]'
	touch $@

# In a clone below work/, so that what this processor computes changes no tracked file here. What was computed is kept in
# the one cache: `dvc repro` in this folder takes it from there. Changes that are not committed yet are taken along.
DEMO := work/demo
demo: setup      ## run the pipeline on the drawn sample in a clone, screen the sample's files, show metrics and summary
	rm -rf $(DEMO) && git clone -q . $(DEMO)
	git diff --quiet HEAD || git diff --binary HEAD | git -C $(DEMO) apply
	cd $(DEMO) && dvc cache dir -q --local $(CURDIR)/.dvc/cache
	cd $(DEMO) && dvc pull data
	cd $(DEMO) && PYTHONPATH=$(CURDIR)/$(DEMO) dvc repro
	@cd $(DEMO) && $(all_kept)
	cd $(DEMO) && dvc metrics show
	cxr-batch $(DEMO)/data -o results.csv --exclude masks --model $(DEMO)/models/screening --overwrite

repro-parallel: setup  ## dvc repro with the trainings side by side; each already uses the threads of params.yaml
	dvc repro split
	@$(MAKE) --no-print-directory -k -j$(words $(TRAININGS)) $(TRAININGS)
	dvc repro
	@$(all_kept)

# -s: of this stage alone. A plain `dvc repro` claims all stages before it as well, and every other one stops as "busy".
# --wait-for-lock: else one that finds the others at their books for 3 s gives up, even with its training done.
# The lines go through a pipe, so that no bars of four trainings fight for one terminal; the reader outlives Ctrl-C to
# show how each of them ends.
$(TRAININGS): train-%:
	@set -o pipefail; PYTHONUNBUFFERED=1 dvc --wait-for-lock repro -s train_$* 2>&1 \
	    | (trap '' INT; while IFS= read -r line; do printf '%-8s | %s\n' $* "$$line"; done)

# Two processes of pytest: a short training or a command keeps one core busy and no second. What a file's tests share is
# made once, so a file stays whole; in the order of collection, so that those that train come neither first nor last.
test: setup      ## lint, types and tests; without the long checks
	ruff check .
	ruff format --check .
	mypy
	pytest -m 'not long' -n 2 --dist loadfile --no-loadscope-reorder

SECONDS := 300
fuzz: setup      ## decode mutated files for some time: make fuzz SECONDS=300; what goes wrong is kept in work/fuzz
	python -m tests.fuzz --seconds $(SECONDS)

check-slow: setup  ## the long checks: a rebuild in a fresh copy, kills, full disks, 20,000 files; then the benchmarks
	pytest -m long
	$(MAKE) --no-print-directory fuzz
	python benchmarks/mutated_files.py
	python benchmarks/help_time.py
	python benchmarks/screening.py --large

verify-model: setup  ## recompute sha256 and test metrics of the packaged model: make verify-model DATA=folder
	cxr-model verify '$(DATA)'

release: setup   ## what the packaged model needs beyond dvc.yaml, and how it compares: docs/release.md
	dvc pull weights/lite0/imagenet.npz
	dvc repro release/dvc.yaml

constraints: setup  ## write constraints.txt from the versions in .venv
	pip freeze --exclude-editable | grep -E '^[A-Za-z0-9_.-]+==' > constraints.txt

clean:           ## remove what a run leaves, but neither data/ nor the cache
	rm -rf work models .cache results.* .results.* .pytest_cache .mypy_cache .ruff_cache
