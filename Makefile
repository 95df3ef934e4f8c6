# Everything stays inside this checkout: .venv, dbt_venv, .airflow and include/.local.
# The programs below read `.env` and environment variables; make does not.

DAG ?= extract_load_transform
# Tests that depend on Airflow most: waiting tasks, retries and clears.
TESTS ?= tests/dags tests/unit/dbt_cloud tests/unit/local_airflow/airflow/test_executor.py tests/e2e/test_exactly_once.py
PYTHON ?= python3

SECOND_ACCOUNT = include/.local/second_account
FRONTEND = include/dbt_cloud/page/frontend
AXE = tests/unit/dbt_cloud/page/vendor

# Without compiled files, Airflow takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE

LAUNCHER = .venv/bin/python -m include.local_airflow
# With two processes, both would mostly wait for Airflow.
PYTEST = .venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run start status doctor logs stop second-account test test-all test-slow test-next test-astro check bench package readme constraints eject matrix pictures frontend lineage install

help: ## Show this list
	@echo "make TARGET [DAG=id] [PORT=8080] [DBT_CLOUD_PORT=8580] [PYTHON=python3]"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16

run: install ## Run one Dag end to end in the terminal: DAG=extract_load_transform
	$(LAUNCHER) run $(DAG)

lineage: install ## Update include/lineage/ from the job's dbt project
	$(LAUNCHER) run write_lineage

start: install ## Start Airflow and the local dbt Cloud in the background: PORT=, DBT_CLOUD_PORT=, DATABASE_URL=
	$(LAUNCHER) start

status: ## Show each process with its state, uptime, restarts and URL
	@test -x .venv/bin/python || { echo "Nothing is running: nothing is installed yet."; exit 1; }; \
	$(LAUNCHER) status

doctor: install ## Check the connections, the token and every job id; DAG= checks one Dag
	@$(LAUNCHER) doctor $(if $(filter-out file,$(origin DAG)),$(DAG))

logs: ## Tail the logs of all processes, until Ctrl-C
	@ls .airflow/logs/*.log >/dev/null 2>&1 || { echo "There are no logs yet: run make start."; exit 1; }; \
	tail -n 5 -F .airflow/logs/*.log

stop: ## Stop everything that `make run` and `make start` left running
	@test -x .venv/bin/python || { echo "Nothing is running: nothing is installed yet."; exit 0; }; \
	echo "$(LAUNCHER) stop"; $(LAUNCHER) stop

second-account: install ## Run a second local dbt Cloud account, to practise connecting yours, until Ctrl-C
	@echo 'Add these three lines to .env, work in a second terminal, and remove the lines afterwards:'
	@echo 'AIRFLOW_CONN_DBT_CLOUD_DEFAULT={"conn_type": "dbt_cloud", "host": "localhost:8699", "login": "20042", "password": "second-account-token"}'
	@echo 'REQUESTS_CA_BUNDLE=$(CURDIR)/$(SECOND_ACCOUNT)/ca-bundle.pem'
	@echo 'SSL_CERT_FILE=$(CURDIR)/$(SECOND_ACCOUNT)/ca-bundle.pem'
	@echo 'docs/second_account.md lists mistakes to try.'
	@LOCAL_DBT_CLOUD_TOKEN=second-account-token .venv/bin/python -m include.local_dbt_cloud --port 8699 \
		--data $(SECOND_ACCOUNT) --jobs include/local_dbt_cloud/second_account.yaml

test: install ## Run the fast tests (some minutes); make test-all runs all
	$(PYTEST) -m "not slow"
	@echo "make test-all also runs the slow tests: crashes, browsers, Celery and each Dag."

test-all: test ## Run all tests
	$(PYTEST) -m slow

test-slow: install ## Run one group of slow tests: GROUP=airflow-a
	$(PYTEST) -m "slow and $(if $(GROUP),group(name='$(GROUP)'),not group)"

test-next: install ## Run tests on the next Airflow pre-release: TESTS="tests/unit tests/e2e"
	.venv/bin/python -m tests.matrix.next_airflow $(TESTS)

test-astro: install ## Test astro dev in a clone, with the real Astro CLI and Docker
	@command -v astro >/dev/null || { echo "Error: astro not found: install the Astro CLI, see https://www.astronomer.io/docs/astro/cli/install-cli." >&2; exit 1; }
	@docker info >/dev/null 2>&1 || { echo "Error: Docker is not running: start it, then check with docker info." >&2; exit 1; }
	.venv/bin/python -m pytest tests/astro/walk.py

matrix: install ## Test each Dag separately on Airflow 3.1 to 3.4 (some minutes): DAGS=
	.venv/bin/python -m tests.matrix $(DAGS)

check: install ## Check lint, formatting, spelling and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/codespell .
	.venv/bin/lint-imports
	.venv/bin/mypy

bench: install ## Run the benchmarks
	.venv/bin/python -m benchmarks

pictures: install ## Update the pictures in docs/, with headless Chromium
	.venv/bin/python -m tests.pictures

frontend: ## Update the scripts of others that the page and its tests use, from the npm registry
	npm ci --prefix $(FRONTEND) --ignore-scripts --no-audit --no-fund
	cp $(FRONTEND)/node_modules/@dagrejs/dagre/dist/dagre.min.js $(FRONTEND)/../static/vendor/dagre.min.js
	cp $(FRONTEND)/node_modules/@dagrejs/dagre/LICENSE $(FRONTEND)/../static/vendor/dagre.LICENSE
	cp $(FRONTEND)/node_modules/axe-core/axe.min.js $(AXE)/axe.min.js
	cp $(FRONTEND)/node_modules/axe-core/LICENSE $(AXE)/axe.LICENSE
	rm -r $(FRONTEND)/node_modules

readme: install ## Update the lists of endpoints in the local dbt Cloud's README and COVERAGE.md
	.venv/bin/python -m include.local_dbt_cloud.api.readme
	.venv/bin/python -m include.local_dbt_cloud.api.coverage

package: install ## Build the local dbt Cloud for other projects: a wheel and an sdist in dist/
	.venv/bin/uv build --quiet --out-dir dist include/local_dbt_cloud

constraints: install ## Pin the newest versions of all packages in constraints.txt
	printf 'dbt-core==1.11.*\ndbt-duckdb==1.11.*\n' | .venv/bin/uv pip compile --universal \
		--python-version 3.11 --no-annotate --no-header --upgrade \
		--output-file constraints.txt requirements-dev.txt -

eject: ## Turn this checkout into your own project, after confirmation: DAGS=, NAME=
	@$(PYTHON) -m include.eject $(DAGS) $(if $(NAME),--name "$(NAME)") $(if $(YES),--yes)

install:
	@command -v $(PYTHON) >/dev/null || { echo "Error: $(PYTHON) not found: install Python 3.11 or newer, or set PYTHON=python3.12." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "Error: dbt 1.11 requires Python 3.11 to 3.13 (got $$($(PYTHON) --version)): set PYTHON=python3.12." >&2; exit 1; }
	$(PYTHON) -m include.local_airflow.install
