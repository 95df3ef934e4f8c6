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
  bundle=$PWD/include/.local/ca-bundle.pem
  token=${LOCAL_DBT_CLOUD_TOKEN:-local-dbt-cloud-token}
  if $serve; then
    while sleep 1; do # start it again if it ends
      LOCAL_DBT_CLOUD_TOKEN=$token python -m include.local_dbt_cloud --host 0.0.0.0 || true
    done &
  fi
  until [ -s "$bundle" ]; do sleep 0.2; done
  export REQUESTS_CA_BUNDLE=$bundle SSL_CERT_FILE=$bundle
  # All services of the compose network know the scheduler's container by this name.
  export AIRFLOW_CONN_DBT_CLOUD_DEFAULT='{"conn_type": "dbt_cloud", "host": "local-dbt-cloud:8580", "login": "16173", "password": "'$token'"}'
fi

exec "$@"
