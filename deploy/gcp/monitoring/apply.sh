#!/usr/bin/env bash
# Creates or updates the log-based metrics and the alert policy of this folder in a project:
#   deploy/gcp/monitoring/apply.sh PROJECT [NOTIFICATION_CHANNEL]
# Requires gcloud with its alpha commands, and the roles roles/logging.configWriter and roles/monitoring.alertPolicyEditor.
set -euo pipefail
project=${1:?missing project; usage: apply.sh PROJECT [NOTIFICATION_CHANNEL]}
channel=${2:-}
cd "$(dirname "$0")"

for file in metrics/*.yaml; do
  name=$(basename "$file" .yaml)
  found=$(gcloud logging metrics list --project "$project" --filter "name=$name" --format 'value(name)')
  gcloud logging metrics "$([ "$found" ] && echo update || echo create)" "$name" \
    --project "$project" --config-from-file "$file" --quiet
done

policy=$(gcloud alpha monitoring policies list --project "$project" --filter 'displayName="Pilotlight"' --format 'value(name)')
if [ "$policy" ]; then
  gcloud alpha monitoring policies update "$policy" --project "$project" --policy-from-file alerts.yaml \
    ${channel:+--add-notification-channels "$channel"}
else
  gcloud alpha monitoring policies create --project "$project" --policy-from-file alerts.yaml \
    ${channel:+--notification-channels "$channel"}
fi
