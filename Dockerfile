FROM astrocrpublic.azurecr.io/runtime:3.3-8-python-3.13

# dbt in a virtual environment of its own: the local dbt Cloud runs it, Airflow never imports it.
# dbt-core 1.11 does not run on Python 3.14, the Runtime's default; hence the tag. If you deploy no
# run_dbt_core_... Dag, only trying out needs these lines: delete them before astro deploy.
RUN python -m venv dbt_venv \
    && dbt_venv/bin/pip install --no-cache-dir --constraint constraints.txt dbt-core dbt-duckdb \
    && mkdir -p include/.local

# Cosmos reports who uses it unless it is told not to.
ENV DO_NOT_TRACK=1

# The dbt Cloud provider causes this warning itself (4.11.1), at the top of each task's log.
ENV PYTHONWARNINGS="ignore:ProvidersManager.hooks is deprecated"
