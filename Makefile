# Everything a developer or CI runs. `make help` lists it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
RESULTS ?= benchmarks/results

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint types imports unit peers bench bench-quick clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt scripts/make-venv.sh
	scripts/make-venv.sh "$(PYTHON)" "$(VENV)"
	touch $@

venv: $(STAMP) ## create the environment with pinned versions

demo: $(STAMP) ## sandbox archive with sample studies and the gateway on http://127.0.0.1:8080
	$(BIN)/dicomweb-gateway demo

lint: $(STAMP) ## ruff and codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: $(STAMP) ## mypy --strict
	$(BIN)/mypy

imports: $(STAMP) ## the rings
	$(BIN)/lint-imports --no-cache

peers: ## install the real archives, the browser and the viewer that the tests start
	scripts/install-peers.sh

unit: $(STAMP) ## tests that need no peer
	$(BIN)/pytest tests/unit tests/fuzz

# Time limits are part of what is tested, and a shared machine may stand still for longer than one of them: what
# failed is run once more, alone, and must pass then.
test: $(STAMP) peers lint types imports ## every check; what CI runs
	$(BIN)/pytest || { echo "--- once more, what failed:"; $(BIN)/pytest --last-failed --last-failed-no-failures none; }

bench: $(STAMP) peers ## every goal of docs/performance.md beside its peer, under 20 minutes
	$(BIN)/python -m benchmarks --results $(RESULTS)

bench-quick: $(STAMP) peers ## the same, smaller, under 2 minutes
	$(BIN)/python -m benchmarks --quick --results $(RESULTS)

clean: ## remove what the targets made
	rm -rf $(VENV) .peers .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
