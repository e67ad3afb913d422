#!/usr/bin/env bash
# Sets up a project once: creates what a deployment needs but must not create itself. Requires an owner of the project, or
# roles/serviceusage.serviceUsageAdmin, roles/storage.admin, roles/iam.roleAdmin, roles/iam.serviceAccountAdmin,
# roles/iam.workloadIdentityPoolAdmin and roles/resourcemanager.projectIamAdmin. Running it again is safe: existing
# resources are kept.
#
#   deploy/gcp/setup.sh PROJECT REGION [OWNER/REPOSITORY [ENVIRONMENTS]]
#
# With a GitHub repository, its workflow may deploy (.github/workflows/deploy-gcp.yml), from jobs of these environments:
# 'staging,prod', or one of them if each has its own project. Without a repository, grant the deployer's roles below to the
# people who deploy.
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

# shellcheck source=deploy/gcp/resources.sh disable=SC1091
source "$(dirname "$0")/resources.sh"

say "enabling APIs"
quietly services enable cloudfunctions.googleapis.com run.googleapis.com cloudbuild.googleapis.com \
  artifactregistry.googleapis.com storage.googleapis.com logging.googleapis.com iam.googleapis.com \
  iamcredentials.googleapis.com sts.googleapis.com

# The model store. Access by IAM only, never public, whatever is granted later; overwritten or deleted objects can be
# restored for a week.
say "the model store $bucket"
exists storage buckets describe "$bucket" ||
  quietly storage buckets create "$bucket" --location="$region" --uniform-bucket-level-access --public-access-prevention
quietly storage buckets update "$bucket" --versioning --uniform-bucket-level-access --public-access-prevention \
  --soft-delete-duration=7d

# The function reads objects of that bucket by name and may do nothing else: it cannot list them, and has no permission
# elsewhere in the project.
say "the function's account $runtime"
account pilotlight-run "Pilotlight: the function"
role pilotlightModelReader "Pilotlight: read a model" storage.objects.get
on_bucket "$bucket" "serviceAccount:$runtime" "projects/$project/roles/pilotlightModelReader"

# Cloud Build turns the package into an image. Its default account is Compute Engine's, often an editor of the whole
# project; this one may build, write the build's log, and store the image.
say "the builder's account $builder"
account pilotlight-build "Pilotlight: builds"
on_project "serviceAccount:$builder" roles/cloudbuild.builds.builder

# The account that sends the golden samples: it may call functions and Cloud Run services of this project, and nothing
# else. It has no key; the deployer impersonates it.
say "the caller's account $invoker"
account pilotlight-invoke "Pilotlight: sends golden samples"
on_project "serviceAccount:$invoker" roles/run.invoker

say "the deployer's account $deployer"
account pilotlight-deploy "Pilotlight: deploys"

# - The function: read it, upload a source, create and update it, follow the operation.
on_project "serviceAccount:$deployer" roles/cloudfunctions.developer

# - The traffic: run.services.get and .update shift it and store a rollout's record. run.operations.get waits for that.
#   run.services.getIamPolicy and .setIamPolicy, because `--no-allow-unauthenticated` revokes public access at every
#   deployment. logging.logEntries.list reads the request log, by which a step is judged.
role pilotlightRollout "Pilotlight: move traffic" \
  run.services.get,run.services.update,run.operations.get,run.services.getIamPolicy,run.services.setIamPolicy,logging.logEntries.list
on_project "serviceAccount:$deployer" "projects/$project/roles/pilotlightRollout"

# - The accounts of a deployment: to run a function as an account requires permission to act as it.
on_account "$runtime" "serviceAccount:$deployer" roles/iam.serviceAccountUser
on_account "$builder" "serviceAccount:$deployer" roles/iam.serviceAccountUser

# - The caller's account: gcloud gets an access token of it before the identity token.
on_account "$invoker" "serviceAccount:$deployer" roles/iam.serviceAccountTokenCreator

# - The model store: read it and add a version. Objects are never replaced or deleted.
on_bucket "$bucket" "serviceAccount:$deployer" roles/storage.objectViewer
on_bucket "$bucket" "serviceAccount:$deployer" roles/storage.objectCreator

if [ -z "$repository" ]; then
  say "done. In gcp.toml: project = \"$project\", build_service_account = \"$builder\""
  exit 0
fi

# GitHub issues an identity token to each job; this pool accepts those of this one repository, and lets the jobs act as the
# deployer without a key. Only jobs of these environments are accepted: a pull request runs in none of them, and prod
# requires its reviewers' approval.
say "workload identity federation for github.com/$repository"
pool=projects/$(on projects describe "$project" --format='value(projectNumber)')/locations/global/workloadIdentityPools/pilotlight-github
exists iam workload-identity-pools describe pilotlight-github --location=global ||
  quietly iam workload-identity-pools create pilotlight-github --location=global --display-name="Pilotlight: GitHub"
mapping=google.subject=assertion.sub,attribute.repository=assertion.repository
IFS=, read -r -a allowed <<<"$environments"
list=$(printf "'%s', " "${allowed[@]}")
condition="assertion.repository == '$repository' && assertion.environment in [${list%, }]"
verb=create-oidc
exists iam workload-identity-pools providers describe github --location=global \
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
