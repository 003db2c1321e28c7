# make demo   everything from nothing: .venv, install, train, evaluate, query
# make test   every test of the core and of the plugins, as many files at once as there are cores
# make check  ruff, mypy --strict, import-linter
# make bench  speed and memory, as ratios to references measured in the same run
# make soak   the heavy counts: kills and draws in full
# make test-timm   the timm plugin, in an environment of its own (several GB)
# make docs   the generated pages of docs/
# make losses the table of pytorch-metric-learning's losses, found anew from the installed library

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# timm needs a torchvision, which works only beside the torch that it was built for: an environment of its own.
PLUGINS := $(filter-out plugins/timm,$(wildcard plugins/*))
EDITABLE := --editable . $(addprefix --editable ,$(PLUGINS))

.PHONY: demo test test-timm check bench soak docs losses clean

demo: $(VENV)/installed
	$(BIN)/python docs/demo.py

test: $(VENV)/installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

TIMM := .venv-timm
test-timm:
	test -x $(TIMM)/bin/python || $(PYTHON) -m venv $(TIMM)
	grep -v '^torch==' constraints.txt > $(TIMM)/constraints.txt
	$(TIMM)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1
	$(TIMM)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(TIMM)/constraints.txt \
	  pytest --editable . --editable plugins/timm
	$(TIMM)/bin/python -m pytest --override-ini addopts=--import-mode=importlib plugins/timm/tests $(ARGS)

check: $(VENV)/installed-test
	$(BIN)/ruff check src plugins tests docs
	$(BIN)/ruff format --check src plugins tests docs
	$(BIN)/mypy src plugins/*/src docs
	$(BIN)/lint-imports

bench: $(VENV)/installed-test
	$(BIN)/python -m tests.bench

soak: $(VENV)/installed-test
	NEARKIN_SOAK=1 $(BIN)/python -m pytest -m soak $(ARGS)

docs: $(VENV)/installed-test
	$(BIN)/python docs/generate.py

losses: $(VENV)/installed-test
	$(BIN)/python -m tests.components.losses.library

# The stamps follow what pip reads, so that a changed dependency is installed by the next make.
$(VENV)/installed: pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) torch
	$(PIP_INSTALL) $(EDITABLE)
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP_INSTALL) --editable '.[test]' --editable 'plugins/milvus[test]'
	touch $@

clean:
	rm -rf $(VENV) $(TIMM) build dist
