# Two commands do everything: `make demo` and `make test`. The environment makes itself.
PY := .venv/bin/python
RUN := .venv/.installed
STAMP := .venv/.installed-dev
DEMO_CATALOG := catalog/data/demo
TWO := -n 2 --dist worksteal
# Tests of live nodes wait for four fifths of their time: four at once fit two cores.
FOUR := -n 4 --dist worksteal
EACH_ONCE := not slow and not kill and not soak
.DEFAULT_GOAL := help

help: ## Show what there is
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

$(RUN): requirements.lock pyproject.toml
	@sh .ci/environment requirements.lock
	@touch $(RUN)

$(STAMP): requirements-dev.lock pyproject.toml
	@sh .ci/environment requirements-dev.lock
	@touch $(RUN) $(STAMP)

env: $(STAMP) ## Create the environment in .venv, with the tools of development

demo: $(RUN) ## Make the demo catalog, run the reversal backtest, show the table and the report's path
	@test -f $(DEMO_CATALOG)/CURRENT || $(PY) perpdesk.py catalog demo --catalog $(DEMO_CATALOG)
	@$(PY) perpdesk.py backtest backtests/runs/xs_reversal_demo.yaml

test: $(STAMP) ## Run the tests that need no live node, and one that does
	@$(PY) -m pytest $(TWO) -m '$(EACH_ONCE) and not live'

test-live: $(STAMP) ## Test nodes on the practice exchange, its scenarios and kills
	@$(PY) -m pytest $(FOUR) -m '$(EACH_ONCE) and live'

test-slow: $(STAMP) ## Run what repeats itself, and hypothesis with many random examples
	@EXPLORE=1 $(PY) -m pytest $(TWO) -m '(slow or examples) and not kill and not soak' --timeout 3600

test-kill: $(STAMP) ## End nodes with SIGKILL some three hundred times, compare with the exchange each time
	@$(PY) -m pytest -m kill --timeout 3600

test-soak: $(STAMP) ## Let a node trade for ten minutes, record memory and message lag
	@$(PY) -m pytest -m soak --timeout 3600 -s

lint: $(STAMP) ## Check style, types and the import floors
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench: $(STAMP) ## Measure speed and memory against the bare engine and a bare node, print the tables
	@$(PY) -m tests.bench

wheel: $(STAMP) ## Pack perpdesk into dist/, to be installed anywhere
	@rm -rf build
	@$(PY) -m pip wheel -q --no-deps --no-build-isolation -w dist .
	@ls dist/*.whl

lock: $(STAMP) ## Pin the newest versions that the two .in files allow
	@$(PY) -m pip install -q uv
	@$(PY) -m uv pip compile -q --python-version 3.12 --no-header --no-emit-index-url --no-emit-find-links requirements.in -o requirements.lock
	@$(PY) -m uv pip compile -q --python-version 3.12 --no-header --no-emit-index-url --no-emit-find-links requirements-dev.in -o requirements-dev.lock

clean: ## Remove the environment, the demo catalog, results and caches
	@rm -rf .venv build dist perpdesk.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache $(DEMO_CATALOG) results

.PHONY: help env demo test test-live test-slow test-kill test-soak lint bench wheel lock clean
