#!/usr/bin/env bash
# Creates what the function for records needs, after setup.sh and before 'pilotlight deploy gcp --function records':
# topics, accounts and their rights. Requires the roles of setup.sh and roles/pubsub.admin. Running it again is safe.
#
#   deploy/gcp/records.sh PROJECT REGION SOURCE RESULTS DEAD_LETTER [FAILURES]
#
# SOURCE, RESULTS and FAILURES are as [ENV.records] in gcp.toml has them: a topic's name or gs://BUCKET[/PREFIX], of an
# existing bucket. DEAD_LETTER is a topic; it and that of the failures get a subscription that keeps messages for a week.
set -euo pipefail

if [ $# -lt 5 ]; then
  echo "usage: $0 PROJECT REGION SOURCE RESULTS DEAD_LETTER [FAILURES]" >&2
  exit 2
fi
project=$1
region=$2
source=$3
results=$4
dead_letter=$5
failures=${6:-}

store=gs://$project-pilotlight-models
runtime=serviceAccount:pilotlight-records@$project.iam.gserviceaccount.com
trigger=serviceAccount:pilotlight-events@$project.iam.gserviceaccount.com
deployer=serviceAccount:pilotlight-deploy@$project.iam.gserviceaccount.com

# shellcheck source=deploy/gcp/resources.sh disable=SC1091
source "$(dirname "$0")/resources.sh"

topic() { # NAME
  exists pubsub topics describe "$1" || quietly pubsub topics create "$1" --message-storage-policy-allowed-regions="$region"
}

kept_topic() { # NAME: a topic whose messages wait for a reader; without a subscription they would be lost
  topic "$1"
  exists pubsub subscriptions describe "$1-kept" ||
    quietly pubsub subscriptions create "$1-kept" --topic="$1" --message-retention-duration=7d --expiration-period=never
}

say "enabling APIs"
quietly services enable eventarc.googleapis.com pubsub.googleapis.com
number=$(on projects describe "$project" --format='value(projectNumber)')
pubsub_agent=serviceAccount:service-$number@gcp-sa-pubsub.iam.gserviceaccount.com

# The function reads its model, and the objects of the source; it creates results and may neither replace nor delete any.
say "the function's account $runtime"
account pilotlight-records "Pilotlight: the function for records"
role pilotlightModelReader "Pilotlight: read a model" storage.objects.get
on_bucket "$store" "$runtime" "projects/$project/roles/pilotlightModelReader"

for place in "$results" ${failures:+"$failures"}; do
  case $place in
  gs://*)
    role pilotlightResultWriter "Pilotlight: write results" storage.objects.create,storage.objects.get
    on_bucket "gs://$(cut -d/ -f3 <<<"$place")" "$runtime" "projects/$project/roles/pilotlightResultWriter"
    ;;
  "$results")
    topic "$place"
    on_topic "$place" "$runtime" roles/pubsub.publisher
    ;;
  *)
    kept_topic "$place"
    on_topic "$place" "$runtime" roles/pubsub.publisher
    ;;
  esac
done

# Eventarc calls the function as this account. An object's event comes through Cloud Storage's own account.
say "the trigger's account $trigger"
account pilotlight-events "Pilotlight: delivers events"
on_project "$trigger" roles/eventarc.eventReceiver
on_project "$trigger" roles/run.invoker
case $source in
gs://*)
  on_bucket "gs://$(cut -d/ -f3 <<<"$source")" "$runtime" "projects/$project/roles/pilotlightModelReader"
  on_project "serviceAccount:service-$number@gs-project-accounts.iam.gserviceaccount.com" roles/pubsub.publisher
  ;;
*) topic "$source" ;;
esac

# Pub/Sub itself moves dead letters: it acknowledges them in Eventarc's subscription, which the deployment creates.
say "the dead-letter topic $dead_letter"
kept_topic "$dead_letter"
on_topic "$dead_letter" "$pubsub_agent" roles/pubsub.publisher
on_project "$pubsub_agent" roles/pubsub.subscriber

say "the deployer's account $deployer"
role pilotlightDeadLetters "Pilotlight: set a dead-letter topic" \
  pubsub.subscriptions.get,pubsub.subscriptions.update,pubsub.topics.attachSubscription
on_project "$deployer" "projects/$project/roles/pilotlightDeadLetters"
on_project "$deployer" roles/eventarc.developer
on_account "${runtime#serviceAccount:}" "$deployer" roles/iam.serviceAccountUser
on_account "${trigger#serviceAccount:}" "$deployer" roles/iam.serviceAccountUser

say "done. 'pilotlight deploy gcp --function records' deploys the function"
