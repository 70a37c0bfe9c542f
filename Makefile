# SPDX-License-Identifier: Apache-2.0
# `make help` lists what there is. Works with GNU make 3.81 and later, on Linux and macOS.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
CONSTRAINTS ?= constraints/paddle-3.3.txt
EXTRAS := cpu,dev
# More arguments for pytest, as in `make test ARGS="-m 'not slow'"`.
ARGS ?=

PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
FAMILIES := $(sort $(notdir $(basename $(wildcard configs/smoke/*.yaml))))
F ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-family style quality prove bench notebooks docs links lock clean
.PHONY: named-family

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "Variables: PYTHON=$(PYTHON) VENV=$(VENV) JOBS=$(JOBS) CONSTRAINTS=$(CONSTRAINTS)"

setup: $(STAMP)  ## create .venv and install ppzoo with PaddlePaddle for CPU

demo: $(STAMP)  ## train a GAN on handwritten digits, minutes on a CPU
	@$(PY) tools/main.py -c configs/demo/dcgan_digits.yaml

test: $(STAMP)  ## run the whole test suite, on two processes (JOBS=2)
	@$(PY) -m pytest -n $(JOBS) --dist worksteal $(ARGS)

test-family: named-family $(STAMP)  ## run one family's tests and sweeps: make test-family F=dcgan
	@$(PY) -m pytest -n $(JOBS) -k "$(F)" $(ARGS)

named-family:
	@test -n "$(F)" || { echo "Which family? make test-family F=NAME, one of: $(FAMILIES)" >&2; exit 2; }

style: $(STAMP)  ## format the code and mend what can be mended
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

quality: $(STAMP)  ## check lint and format, change nothing
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

prove: $(STAMP)  ## train and measure the proofs: all, or make prove F=dcgan
	@$(PY) tools/prove.py $(if $(F),$(F),all)

bench: $(STAMP)  ## measure training speed, with PyTorch beside
	@$(PY) tools/benchmark/bench.py

notebooks: $(STAMP)  ## execute the course's notebooks and save their outputs: all, or F=day1
	@$(PY) tools/notebooks.py run $(F)

docs: $(STAMP)  ## build the documentation as a site, into site/
	@$(PY) -m sphinx -W --keep-going -q -b html docs site
	@echo "Open site/index.html"

links: $(STAMP)  ## ask the network whether the pages' external links answer
	@$(PY) -m sphinx -q -b linkcheck docs site/links

lock: $(STAMP)  ## renew the tested versions in constraints/paddle-3.3.txt
	@$(PY) -m pip install --quiet uv
	@{ echo "# The tested stack, for Python 3.10 to 3.13. Written by \`make lock\`: do not edit."; \
	   printf 'paddlepaddle==3.3.1\nnumpy>=2\n' | \
	   $(PY) -m uv pip compile pyproject.toml -c - --extra cpu --extra course --extra dev --extra export \
	     --universal --python-version 3.10 --upgrade --no-annotate --no-header --quiet; \
	 } > constraints/paddle-3.3.txt.new
	@mv constraints/paddle-3.3.txt.new constraints/paddle-3.3.txt

clean:  ## remove .venv, caches and build leftovers; runs in output_dir stay
	rm -rf .venv build dist site jupyter_execute docs/api docs/notebooks docs/repository *.egg-info .pytest_cache .ruff_cache .hypothesis
	find ppzoo tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# Install again only when the list of dependencies changes. paddlepaddle comes first and by itself,
# because it is the one large download: pip shows a bar for it.
$(STAMP): pyproject.toml $(CONSTRAINTS)
	@command -v "$(PYTHON)" > /dev/null || { \
	  echo "No '$(PYTHON)' found: install Python 3.10 to 3.13, or name one, make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "ppzoo needs Python 3.10 to 3.13, and $(PYTHON) is $$("$(PYTHON)" -V 2>&1): name another, make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 2; }
	@$(PY) -m pip --version > /dev/null 2>&1 || "$(PYTHON)" -m venv --clear "$(VENV)"
	@echo "Installing ppzoo and PaddlePaddle into $(VENV): about 550 MB to download; all takes up to ten minutes."
	@$(PY) -m pip install --disable-pip-version-check --no-deps paddlepaddle $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
	@echo "Installing the other packages: minutes, in which nothing is printed."
	@$(PY) -m pip install --disable-pip-version-check --quiet -e ".[$(EXTRAS)]" $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
	@touch $@
	@$(PY) -c 'import importlib.metadata as m, platform; print("Ready: Python", platform.python_version() + ",", ", ".join(f"{p} {m.version(p)}" for p in ("paddlepaddle", "numpy", "opencv-python-headless")))'
