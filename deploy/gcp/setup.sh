#!/usr/bin/env bash
# Once per project: what a deployment needs and must not make itself. Whoever runs it has to be an owner of the project, or
# to have roles/serviceusage.serviceUsageAdmin, roles/storage.admin, roles/iam.roleAdmin, roles/iam.serviceAccountAdmin,
# roles/iam.workloadIdentityPoolAdmin and roles/resourcemanager.projectIamAdmin. It may be run again at any time: what is
# there stays as it is.
#
#   deploy/gcp/setup.sh PROJECT REGION [OWNER/REPOSITORY [ENVIRONMENTS]]
#
# With a GitHub repository, its workflow may deploy (.github/workflows/deploy-gcp.yml), from jobs of these environments:
# 'staging,prod', or one of them where each has a project of its own. Without a repository, give the deployer's roles below
# to the people who deploy.
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: $0 PROJECT REGION [OWNER/REPOSITORY [ENVIRONMENTS]]" >&2
  exit 2
fi
project=$1
region=$2
repository=${3:-}
environments=${4:-staging,prod}

bucket=gs://$project-pilotlight-models
runtime=pilotlight-run@$project.iam.gserviceaccount.com
builder=pilotlight-build@$project.iam.gserviceaccount.com
deployer=pilotlight-deploy@$project.iam.gserviceaccount.com
invoker=pilotlight-invoke@$project.iam.gserviceaccount.com

say() { printf '%s\n' "$*" >&2; }
on() { gcloud "$@" --project="$project" --quiet; }
quietly() { on "$@" --format=none; }
patiently() { # an account that was just made is not known everywhere at once
  local try
  for try in 1 2 3 4 5; do
    quietly "$@" && return
    say "not yet ($try of 5)"
    sleep "${PAUSE:-10}"
  done
  quietly "$@"
}
there() { quietly "$@" 2>/dev/null; } # whether what a `describe` names exists

account() { # NAME, WHAT FOR
  there iam service-accounts describe "$1@$project.iam.gserviceaccount.com" ||
    quietly iam service-accounts create "$1" --display-name="$2"
}

role() { # ID, TITLE, PERMISSIONS: a role of this project, brought to exactly these permissions
  if there iam roles describe "$1"; then
    quietly iam roles update "$1" --permissions="$3"
  else
    quietly iam roles create "$1" --title="$2" --permissions="$3" --stage=GA
  fi
}

on_project() { # MEMBER, ROLE
  patiently projects add-iam-policy-binding "$project" --member="$1" --role="$2" --condition=None
}

on_bucket() { # MEMBER, ROLE
  patiently storage buckets add-iam-policy-binding "$bucket" --member="$1" --role="$2"
}

on_account() { # ACCOUNT, MEMBER, ROLE
  patiently iam service-accounts add-iam-policy-binding "$1" --member="$2" --role="$3"
}

say "APIs"
quietly services enable cloudfunctions.googleapis.com run.googleapis.com cloudbuild.googleapis.com \
  artifactregistry.googleapis.com storage.googleapis.com logging.googleapis.com iam.googleapis.com \
  iamcredentials.googleapis.com sts.googleapis.com

# The model store. Rights by IAM alone, none for the public, whatever somebody grants later; what is overwritten or deleted
# can be had back for a week.
say "the model store $bucket"
there storage buckets describe "$bucket" ||
  quietly storage buckets create "$bucket" --location="$region" --uniform-bucket-level-access --public-access-prevention
quietly storage buckets update "$bucket" --versioning --uniform-bucket-level-access --public-access-prevention \
  --soft-delete-duration=7d

# The function itself reads objects of that bucket by their names, and can do nothing else: it cannot list them, and has no
# right anywhere else in the project.
say "the function's own account $runtime"
account pilotlight-run "Pilotlight: the function"
role pilotlightModelReader "Pilotlight: read a model" storage.objects.get
on_bucket "serviceAccount:$runtime" "projects/$project/roles/pilotlightModelReader"

# Cloud Build turns the package into an image. Its default account is that of Compute Engine, which is often an editor of
# the whole project; this one builds, writes the log of it, and puts the image away.
say "the builder's account $builder"
account pilotlight-build "Pilotlight: builds"
on_project "serviceAccount:$builder" roles/cloudbuild.builds.builder

# Who the golden samples come from: it may call functions and Cloud Run services of this project, and nothing else. Nobody
# has a key of it; the deployer acts as it.
say "the caller's account $invoker"
account pilotlight-invoke "Pilotlight: sends golden samples"
on_project "serviceAccount:$invoker" roles/run.invoker

say "the deployer's account $deployer"
account pilotlight-deploy "Pilotlight: deploys"

# - The function: read it, upload a source, create and update it, follow the operation.
on_project "serviceAccount:$deployer" roles/cloudfunctions.developer

# - The traffic: run.services.get and .update move it and keep the note of a rollout. run.operations.get waits for that.
#   run.services.getIamPolicy and .setIamPolicy, because `--no-allow-unauthenticated` takes public access away at every
#   deployment, should somebody have given it. logging.logEntries.list reads the request log, by which a step is judged.
role pilotlightRollout "Pilotlight: move traffic" \
  run.services.get,run.services.update,run.operations.get,run.services.getIamPolicy,run.services.setIamPolicy,logging.logEntries.list
on_project "serviceAccount:$deployer" "projects/$project/roles/pilotlightRollout"

# - The accounts that a deployment names: whoever lets a function run as an account has to be allowed to act as it.
on_account "$runtime" "serviceAccount:$deployer" roles/iam.serviceAccountUser
on_account "$builder" "serviceAccount:$deployer" roles/iam.serviceAccountUser

# - Golden samples in the name of the caller's account: gcloud asks for an access token of it before the identity token.
on_account "$invoker" "serviceAccount:$deployer" roles/iam.serviceAccountTokenCreator

# - The model store: look what is there, and add a version. Objects are never replaced or deleted.
on_bucket "serviceAccount:$deployer" roles/storage.objectViewer
on_bucket "serviceAccount:$deployer" roles/storage.objectCreator

if [ -z "$repository" ]; then
  say "done. In gcp.toml: project = \"$project\", build_service_account = \"$builder\""
  exit 0
fi

# GitHub says who a job is; this pool believes it for jobs of this one repository, and lets them act as the deployer. No
# key leaves Google Cloud, so none can be lost. Only jobs of these environments: whoever opens a pull request runs in none of
# them, and prod asks its reviewers first.
say "workload identity federation for github.com/$repository"
pool=projects/$(on projects describe "$project" --format='value(projectNumber)')/locations/global/workloadIdentityPools/pilotlight-github
there iam workload-identity-pools describe pilotlight-github --location=global ||
  quietly iam workload-identity-pools create pilotlight-github --location=global --display-name="Pilotlight: GitHub"
mapping=google.subject=assertion.sub,attribute.repository=assertion.repository
IFS=, read -r -a allowed <<<"$environments"
list=$(printf "'%s', " "${allowed[@]}")
condition="assertion.repository == '$repository' && assertion.environment in [${list%, }]"
verb=create-oidc
there iam workload-identity-pools providers describe github --location=global \
  --workload-identity-pool=pilotlight-github && verb=update-oidc
quietly iam workload-identity-pools providers "$verb" github --location=global \
  --workload-identity-pool=pilotlight-github --issuer-uri=https://token.actions.githubusercontent.com \
  --attribute-mapping="$mapping" --attribute-condition="$condition"
on_account "$deployer" "principalSet://iam.googleapis.com/$pool/attribute.repository/$repository" \
  roles/iam.workloadIdentityUser

cat >&2 <<END
done. In gcp.toml:
  project = "$project"
  invoker = "$invoker"
  build_service_account = "$builder"
In the environments of github.com/$repository ($environments), as variables:
  GCP_WORKLOAD_IDENTITY_PROVIDER = $pool/providers/github
  GCP_DEPLOYER = $deployer
and DEPLOY_TO_GOOGLE = true, as a variable of the repository.
END
