#!/usr/bin/env bash
# Runs one Airflow component of `astro dev start` so that it knows the local servers:
#   in_docker.sh [serve] [receive] COMMAND...
# `serve` starts the servers beside the command, `receive` lets dbt Cloud's webhooks come to it.
# With AIRFLOW_CONN_DBT_CLOUD_DEFAULT set (a real account, in .env) it runs the command, no more.
# It says which dbt Cloud is used: `astro dev logs --scheduler` shows it. If Airflow could not use a
# connection variable it ends, with the sentence that `make start` prints; so it does with a wrong
# LOCAL_DBT_CLOUD_DBT_PYTHON.
set -euo pipefail

keep_up() { # MODULE OPTION...: a server that other containers reach, started again if it ends
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
    python -m include.local_servers.dbt_pythons
    [ -n "$account" ] || echo "dbt Cloud: the local one, https://localhost:$dbt_cloud, whatever the" \
      "UI shows. For a real account put AIRFLOW_CONN_DBT_CLOUD_DEFAULT into .env, then astro dev restart."
    # Other containers reach them, so they have a token of their own instead of the known ones.
    [ -s "$data/token" ] || (umask 077 && python -c 'import secrets; print(secrets.token_hex())' > "$data/token")
    token=$(< "$data/token")
    LOCAL_DBT_CLOUD_TOKEN=$token LOCAL_DBT_CLOUD_PUBLIC_URL=https://localhost:$dbt_cloud \
      keep_up include.local_dbt_cloud --port "$dbt_cloud" &
    LOCAL_FIVETRAN_SECRET=$token LOCAL_CENSUS_TOKEN=$token \
      keep_up include.local_fivetran_census --port "$fivetran_census" &
  fi
  until [ -s "$bundle" ] && [ -s "$data/token" ]; do sleep 0.2; done
  token=$(< "$data/token")
  export REQUESTS_CA_BUNDLE=$bundle SSL_CERT_FILE=$bundle
  # All services of the compose network know the scheduler's container by this name.
  export AIRFLOW_CONN_DBT_CLOUD_DEFAULT='{"conn_type": "dbt_cloud", "host": "local-dbt-cloud:'$dbt_cloud'", "login": "16173", "password": "'$token'"}'
  fivetran='{"conn_type": "Fivetran", "host": "local-dbt-cloud:'$fivetran_census'", "login": "local-fivetran-key", "password": "'$token'"}'
  census='{"conn_type": "census", "host": "local-dbt-cloud:'$fivetran_census'", "password": "'$token'"}'
  export AIRFLOW_CONN_FIVETRAN_DEFAULT=${AIRFLOW_CONN_FIVETRAN_DEFAULT:-$fivetran}
  export AIRFLOW_CONN_CENSUS_DEFAULT=${AIRFLOW_CONN_CENSUS_DEFAULT:-$census}
  if $receive && [ -z "${AIRFLOW_CONN_DBT_CLOUD_WEBHOOKS:-}" ]; then
    url=https://${LOCAL_DBT_CLOUD_NAME:-local-dbt-cloud}:$dbt_cloud
    # Without it Airflow starts all the same, and hears of no run that others have started.
    secret=$(LOCAL_DBT_CLOUD_TOKEN=$token python -m include.local_servers.subscription \
      "$url" http://api-server:8080/webhooks/dbt-cloud --data "$data") || secret=
    export AIRFLOW_CONN_DBT_CLOUD_WEBHOOKS='{"conn_type": "generic", "host": "localhost:'$dbt_cloud'", "password": "'$secret'"}'
  fi
fi
if $serve && [ -n "$account" ]; then
  echo "dbt Cloud: $account ($source, whatever the UI shows)."
fi

exec "$@"
