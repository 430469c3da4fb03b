# The small things people do every day. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
export PATH := $(abspath $(VENV))/bin:$(PATH)
SHELL := bash
TRAININGS := $(filter-out train-gate,$(shell sed -n 's/^  train_\([a-z0-9]*\):.*/train-\1/p' dvc.yaml))

.PHONY: help setup setup-dev demo repro-parallel experiments test docs pictures wheel image fuzz check-slow verify-model release \
    constraints clean $(TRAININGS)

# DVC exits with 0 when the disk fills while it keeps a stage's outputs; only its status tells.
define all_kept
dvc status -q dvc.yaml || { echo "error: dvc status names what is not as dvc.lock says, and why; if the disk is full, \
free some space, then run the same command again" >&2; dvc status dvc.yaml >&2; exit 1; }
endef

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 16

# Two steps into one environment: who runs the pipeline needs no Ray, mypy or browser driver.
INSTALL := $(VENV)/bin/pip install --disable-pip-version-check -c constraints.txt
setup: $(VENV)/.pipeline  ## make .venv with exact versions: screening and pipeline
setup-dev: $(VENV)/.dev  ## add to it what tests and documentation need

$(VENV)/.pipeline: pyproject.toml constraints.txt
	@echo "Making $(VENV) with TensorFlow, DVC and what they need: 3 GB, about two minutes and the download. It is made once."
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[pipeline]'
	touch $@

$(VENV)/.dev: $(VENV)/.pipeline
	$(INSTALL) -q -e '.[pipeline,dev]'
	touch $@

# In a clone below work/, so that what this processor computes changes no tracked file here. What was computed is kept in
# the one cache: `dvc repro` in this folder takes from there what is the same. Changes that are not committed yet are
# taken along.
DEMO := work/demo
define DEMO_BEGINS

The demo runs the whole pipeline on 200 drawn chest films, in a copy of this folder below $(DEMO):
about five minutes of one core, less on two. Of one core:
    prepare, balance, split            12 seconds    decode, look for duplicates, share out by patient
    train_cnn1, train_cnn3             95 seconds    the two small networks
    train_vgg16, train_resnet50       100 seconds    the two large ones, shortened: params.demo.yaml
    evaluate                           60 seconds    accuracy, audits, report
    cxr-batch                          10 seconds    the films again, into a table
The films are too few and too simple to say anything about radiographs.

endef
define DEMO_ENDS

What there is now, below $(DEMO):
    reports/report.html                what was measured, with every audit
    results.csv                        a row for each film, by the network that did best
    sheet.html                         the same to look at, with thumbnails
What to do next (first: . $(VENV)/bin/activate):
    cxr-batch FOLDER -o results.csv --report sheet.html      screen your own films with the packaged network
    cxr-data import archive.zip && dvc repro                 train on the public database, or on your own classes
    cxr-eval results.csv labels.csv                          measure a table against your own labels
endef
export DEMO_BEGINS DEMO_ENDS

demo: setup      ## the pipeline on the drawn sample in a copy, about five minutes of a core; then a table of its films
	@echo "$$DEMO_BEGINS"
	@rm -rf $(DEMO) && git clone -q . $(DEMO)
	@git diff --quiet HEAD || git diff --binary HEAD | git -C $(DEMO) apply
	cd $(DEMO) && PYTHONPATH=$(CURDIR)/$(DEMO) cxr-data preset params.demo.yaml
	@cd $(DEMO) && dvc cache dir -q --local $(CURDIR)/.dvc/cache && dvc pull data
	cd $(DEMO) && PYTHONPATH=$(CURDIR)/$(DEMO) dvc repro
	@cd $(DEMO) && $(all_kept)
	@cd $(DEMO) && dvc metrics show --precision 3
	@cd $(DEMO) && cxr-batch data -o results.csv --exclude masks --model models/screening --report sheet.html
	@echo "$$DEMO_ENDS"

repro-parallel: setup  ## dvc repro with the trainings side by side; each already uses the threads of params.yaml
	dvc repro split
	@$(MAKE) --no-print-directory -k -j$(words $(TRAININGS)) $(TRAININGS)
	dvc repro
	@$(all_kept)

# `dvc exp show` has a column for each of 24 metrics and for every param, each with the name of its file.
experiments: setup  ## experiments side by side: balanced accuracy of each network, and the params that differ
	@dvc exp show --md --only-changed --keep '.*:balanced_accuracy$$' --drop \
	    '^Created$$|^(models|work|stages|cxr|data|weights)|.*:(log_loss|macro_auc|referred|sensitivity|specificity)$$' \
	    | sed -e '/^|-/d' -e 's#reports/metrics/##g' -e 's#[.]json:balanced_accuracy##g' -e 's#params[.]yaml:##g' \
	    -e 's/ *[|] */|/g' -e 's/^[|]//' | column -t -s '|'

# -s: of this stage alone. A plain `dvc repro` claims all stages before it as well, and every other one stops as "busy".
# --wait-for-lock: else one that finds the others at their books for 3 s gives up, even with its training done.
# The lines go through a pipe, so that no bars of four trainings fight for one terminal; the reader outlives Ctrl-C to
# show how each of them ends.
$(TRAININGS): train-%:
	@set -o pipefail; PYTHONUNBUFFERED=1 dvc --wait-for-lock repro -s train_$* 2>&1 \
	    | (trap '' INT; while IFS= read -r line; do printf '%-8s | %s\n' $* "$$line"; done)

# Two processes of pytest: a short training or a command keeps one core busy and no second. What a file's tests share is
# made once, so a file stays whole; in the order of collection, so that those that train come neither first nor last.
test: setup-dev docs  ## lint, types, documentation and tests; without the long checks
	ruff check .
	ruff format --check .
	mypy
	pytest -m 'not long' -n 2 --dist loadfile --no-loadscope-reorder

docs: setup-dev  ## build the site of docs/ in work/site; a warning is an error
	sphinx-build -q -W --keep-going -c docs . work/site
	@echo "work/site/docs/index.html"

pictures: setup-dev  ## draw docs/images again: a table and a sheet of drawn films; needs Chromium
	python -m docs.pictures

wheel: setup-dev  ## build the wheel and try it in an environment of its own
	pytest -q -m long tests/long/test_wheel.py

image: setup-dev  ## build the container image and try it; needs docker or podman
	pytest -q -m long tests/long/test_image.py

SECONDS := 300
fuzz: setup-dev  ## decode mutated files for some time: make fuzz SECONDS=300; what goes wrong is kept in work/fuzz
	python -m tests.fuzz --seconds $(SECONDS)

check-slow: setup-dev  ## the long checks: a rebuild in a fresh copy, kills, full disks, 20,000 files; then the benchmarks
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

constraints: setup-dev  ## write constraints.txt from the versions in .venv
	pip freeze --exclude-editable | grep -E '^[A-Za-z0-9_.-]+==' > constraints.txt

clean:           ## remove what a run leaves, but neither data/ nor the cache
	rm -rf work dist build models .cache results.* .results.* .pytest_cache .mypy_cache .ruff_cache
