#!/usr/bin/env bash
# Run one Airflow component of `astro dev start` with connections to the local servers:
#   in_docker.sh [serve] [receive] COMMAND...
# `serve` starts the servers beside the command, `receive` subscribes it to dbt Cloud's webhooks.
# With AIRFLOW_CONN_DBT_CLOUD_DEFAULT set (a real account, in .env) it only runs the command.
# It prints the active dbt Cloud: see `astro dev logs --scheduler`. An unusable connection variable
# or LOCAL_DBT_CLOUD_DBT_PYTHON ends it with the same message as in `make start`.
set -euo pipefail

keep_up() { # MODULE OPTION...: run a server for other containers, and restart it if it ends
  while sleep 1; do
    python -m "$1" --host "${LOCAL_DBT_CLOUD_HOST:-0.0.0.0}" --data "$data" "${@:2}" || true
  done
}

serve=false receive=false
while [ "$1" = serve ] || [ "$1" = receive ]; do
  printf -v "$1" true
  shift
done

account=$(python -m include.local_airflow.settings.connection_check)
source="AIRFLOW_CONN_DBT_CLOUD_DEFAULT in .env"
if [ -n "${AIRFLOW__SECRETS__BACKEND:-}" ]; then
  in_backend=$(python -m include.local_airflow.airflow.secrets_backend | tail -n 1) || {
    echo "Error: $in_backend" >&2
    exit 1
  }
  [ -z "$in_backend" ] || account=$in_backend source="the secrets backend"
fi

if [ -z "${AIRFLOW_CONN_DBT_CLOUD_DEFAULT:-}" ]; then
  data=${LOCAL_DBT_CLOUD_DATA:-$PWD/include/.local}
  bundle=$data/ca-bundle.pem
  dbt_cloud=${DBT_CLOUD_PORT:-8580}
  fivetran_census=${FIVETRAN_CENSUS_PORT:-8581}
  if $serve; then
    python -m include.local_dbt_cloud.serving.dbt_pythons
    [ -n "$account" ] || echo "dbt Cloud: the local one, https://localhost:$dbt_cloud (overrides the UI)." \
      "For a real account set AIRFLOW_CONN_DBT_CLOUD_DEFAULT in .env, then astro dev restart."
    # Other containers can reach the servers, so a secret token replaces the public defaults.
    [ -s "$data/token" ] || (umask 077 && python -c 'import secrets; print(secrets.token_hex())' > "$data/token")
    token=$(< "$data/token")
    LOCAL_DBT_CLOUD_TOKEN=$token LOCAL_DBT_CLOUD_PUBLIC_URL=https://localhost:$dbt_cloud \
      LOCAL_DBT_CLOUD_AIRFLOW_PAGE=${LOCAL_DBT_CLOUD_AIRFLOW_PAGE:-http://localhost:8080/plugin/dbt-cloud/dbt-cloud-page} \
      keep_up include.local_dbt_cloud --port "$dbt_cloud" &
    LOCAL_FIVETRAN_SECRET=$token LOCAL_CENSUS_TOKEN=$token \
      keep_up include.local_fivetran_census --port "$fivetran_census" &
  fi
  until [ -s "$bundle" ] && [ -s "$data/token" ]; do sleep 0.2; done
  token=$(< "$data/token")
  export REQUESTS_CA_BUNDLE=$bundle SSL_CERT_FILE=$bundle
  # local-dbt-cloud is the network alias of the scheduler's container.
  export AIRFLOW_CONN_DBT_CLOUD_DEFAULT='{"conn_type": "dbt_cloud", "host": "local-dbt-cloud:'$dbt_cloud'", "login": "16173", "password": "'$token'"}'
  fivetran='{"conn_type": "Fivetran", "host": "local-dbt-cloud:'$fivetran_census'", "login": "local-fivetran-key", "password": "'$token'"}'
  census='{"conn_type": "census", "host": "local-dbt-cloud:'$fivetran_census'", "password": "'$token'"}'
  export AIRFLOW_CONN_FIVETRAN_DEFAULT=${AIRFLOW_CONN_FIVETRAN_DEFAULT:-$fivetran}
  export AIRFLOW_CONN_CENSUS_DEFAULT=${AIRFLOW_CONN_CENSUS_DEFAULT:-$census}
  if $receive && [ -z "${AIRFLOW_CONN_DBT_CLOUD_WEBHOOKS:-}" ]; then
    url=https://${LOCAL_DBT_CLOUD_NAME:-local-dbt-cloud}:$dbt_cloud
    # If it fails, Airflow starts anyway, without webhooks of runs started outside Airflow.
    secret=$(LOCAL_DBT_CLOUD_TOKEN=$token python -m include.local_dbt_cloud.serving.subscription \
      "$url" http://api-server:8080/webhooks/dbt-cloud --data "$data") || secret=
    export AIRFLOW_CONN_DBT_CLOUD_WEBHOOKS='{"conn_type": "generic", "host": "localhost:'$dbt_cloud'", "password": "'$secret'"}'
  fi
fi
if $serve && [ -n "$account" ]; then
  echo "dbt Cloud: $account ($source, overrides the UI)."
fi

exec "$@"
