# Everything stays inside this checkout: .venv, dbt_venv, .airflow and include/.local.
# `.env` and environment variables are read by the programs below, not by make.

DAG ?= extract_load_transform
# What depends on Airflow most: tasks that wait, their tries, and clears.
TESTS ?= tests/dags tests/unit/dbt_cloud tests/unit/local_airflow/airflow/test_executor.py tests/e2e/test_exactly_once.py
PYTHON ?= python3

SECOND_ACCOUNT = include/.local/second_account

# Uncompiled, Airflow starts in twice the time.
unexport PYTHONDONTWRITEBYTECODE

LAUNCHER = .venv/bin/python -m include.local_airflow
# Two processes would wait for Airflow most of the time.
PYTEST = .venv/bin/python -m pytest -n 3 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help run start status doctor logs stop second-account test test-all test-slow test-next test-astro check bench readme constraints eject matrix pictures lineage install

help: ## Show this list
	@echo "make TARGET [DAG=id] [PORT=8080] [DBT_CLOUD_PORT=8580] [PYTHON=python3]"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16

run: install ## Run one Dag end to end in the terminal: DAG=extract_load_transform
	$(LAUNCHER) run $(DAG)

lineage: install ## Write include/lineage/ anew, as the job's project is now
	$(LAUNCHER) run write_lineage

start: install ## Start Airflow and the local dbt Cloud in the background: PORT=, DBT_CLOUD_PORT=, DATABASE_URL=
	$(LAUNCHER) start

status: ## Show what runs, since when, how often it was started again and where it answers
	@test -x .venv/bin/python || { echo "Nothing is running: nothing has been installed yet."; exit 1; }; \
	$(LAUNCHER) status

doctor: install ## Check the connections, the token and every job id; with DAG= those of one Dag
	@$(LAUNCHER) doctor $(if $(filter-out file,$(origin DAG)),$(DAG))

logs: ## Follow the logs of all that runs, until Ctrl-C
	@ls .airflow/logs/*.log >/dev/null 2>&1 || { echo "There are no logs yet: make start writes them."; exit 1; }; \
	tail -n 5 -F .airflow/logs/*.log

stop: ## Stop everything that `make run` and `make start` left running
	@test -x .venv/bin/python || { echo "Nothing is running: nothing has been installed yet."; exit 0; }; \
	echo "$(LAUNCHER) stop"; $(LAUNCHER) stop

second-account: install ## Run a second dbt Cloud account here, to practise connecting yours, until Ctrl-C
	@echo 'Put these three lines into .env, work in a second terminal, and remove them afterwards:'
	@echo 'AIRFLOW_CONN_DBT_CLOUD_DEFAULT={"conn_type": "dbt_cloud", "host": "localhost:8699", "login": "20042", "password": "second-account-token"}'
	@echo 'REQUESTS_CA_BUNDLE=$(CURDIR)/$(SECOND_ACCOUNT)/ca-bundle.pem'
	@echo 'SSL_CERT_FILE=$(CURDIR)/$(SECOND_ACCOUNT)/ca-bundle.pem'
	@echo 'docs/second_account.md lists mistakes to try.'
	@LOCAL_DBT_CLOUD_TOKEN=second-account-token .venv/bin/python -m include.local_dbt_cloud --port 8699 \
		--data $(SECOND_ACCOUNT) --jobs include/local_dbt_cloud/second_account.yaml

test: install ## Run the tests that take some minutes; make test-all runs the others too
	$(PYTEST) -m "not slow"
	@echo "make test-all runs the slow tests too: crashes, browsers, Celery and each Dag's own."

test-all: test ## Run all tests
	$(PYTEST) -m slow

test-slow: install ## Run a group of the slow tests: GROUP=airflow-a
	$(PYTEST) -m "slow and $(if $(GROUP),xdist_group(name='$(GROUP)'),not xdist_group)"

test-next: install ## Run tests on the next Airflow, a pre-release: TESTS="tests/unit tests/e2e"
	.venv/bin/python -m tests.matrix.next_airflow $(TESTS)

test-astro: install ## Walk through astro dev, with the real Astro CLI and Docker, in a clone
	@command -v astro >/dev/null || { echo "Error: there is no astro: install the Astro CLI, https://www.astronomer.io/docs/astro/cli/install-cli says how." >&2; exit 1; }
	@docker info >/dev/null 2>&1 || { echo "Error: no Docker engine answers: start Docker, and try docker info." >&2; exit 1; }
	.venv/bin/python -m pytest tests/astro/walk.py

matrix: install ## Try each Dag by itself on Airflow 3.1 to 3.4, some minutes: DAGS=
	.venv/bin/python -m tests.matrix $(DAGS)

check: install ## Lint, check the formatting and the types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/mypy

bench: install ## Measure this repository against its peers
	.venv/bin/python -m benchmarks

pictures: install ## Take the pictures of docs/ anew, with headless Chromium
	.venv/bin/python -m tests.pictures

readme: install ## Write the local dbt Cloud's endpoints into its README anew
	.venv/bin/python -m include.local_dbt_cloud.api.readme

constraints: install ## Pin the newest versions of everything in constraints.txt
	printf 'dbt-core==1.11.*\ndbt-duckdb==1.11.*\n' | .venv/bin/uv pip compile --universal \
		--python-version 3.11 --no-annotate --no-header --upgrade \
		--output-file constraints.txt requirements-dev.txt -

eject: ## Make your own project of this checkout: DAGS=, NAME=; it asks first
	@$(PYTHON) -m include.eject $(DAGS) $(if $(NAME),--name "$(NAME)") $(if $(YES),--yes)

install:
	@command -v $(PYTHON) >/dev/null || { echo "Error: there is no $(PYTHON): install Python 3.11 or newer, or name yours with PYTHON=python3.12." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "Error: $$($(PYTHON) --version) will not do, dbt 1.11 needs Python 3.11 to 3.13: name one with PYTHON=python3.12." >&2; exit 1; }
	$(PYTHON) -m include.local_airflow.install
