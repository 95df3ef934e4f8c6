#!/usr/bin/env bash
# Runs one Airflow component of `astro dev start` so that it knows the local dbt Cloud:
#   in_docker.sh [serve] COMMAND...      `serve` starts the local dbt Cloud beside the command
# With AIRFLOW_CONN_DBT_CLOUD_DEFAULT set (a real account, in .env) it runs the command, no more.
set -euo pipefail

serve=false
if [ "$1" = serve ]; then
  serve=true
  shift
fi

if [ -z "${AIRFLOW_CONN_DBT_CLOUD_DEFAULT:-}" ]; then
  data=${LOCAL_DBT_CLOUD_DATA:-$PWD/include/.local}
  bundle=$data/ca-bundle.pem
  port=${DBT_CLOUD_PORT:-8580}
  if $serve; then
    # Other containers reach it, so it has a token of its own instead of the one everybody knows.
    [ -s "$data/token" ] || (umask 077 && python -c 'import secrets; print(secrets.token_hex())' > "$data/token")
    export LOCAL_DBT_CLOUD_PUBLIC_URL=https://localhost:$port # where the browser finds it
    while sleep 1; do                                         # start it again if it ends
      LOCAL_DBT_CLOUD_TOKEN=$(< "$data/token") \
        python -m include.local_dbt_cloud --host "${LOCAL_DBT_CLOUD_HOST:-0.0.0.0}" --port "$port" --data "$data" || true
    done &
  fi
  until [ -s "$bundle" ] && [ -s "$data/token" ]; do sleep 0.2; done
  export REQUESTS_CA_BUNDLE=$bundle SSL_CERT_FILE=$bundle
  # All services of the compose network know the scheduler's container by this name.
  export AIRFLOW_CONN_DBT_CLOUD_DEFAULT='{"conn_type": "dbt_cloud", "host": "local-dbt-cloud:'$port'", "login": "16173", "password": "'$(< "$data/token")'"}'
fi

exec "$@"
