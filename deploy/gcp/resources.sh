# shellcheck shell=bash
# What setup.sh and records.sh use to create resources of $project, which they set: each once, whatever runs again.

say() { printf '%s\n' "$*" >&2; }
on() { gcloud "$@" --project="$project" --quiet; }
quietly() { on "$@" --format=none; }
retry() { # a new account takes a while to be known everywhere
  local try
  for try in 1 2 3 4 5; do
    quietly "$@" && return
    say "attempt $try of 5 failed; trying again"
    sleep "${PAUSE:-10}"
  done
  quietly "$@"
}
exists() { quietly "$@" 2>/dev/null; } # whether a `describe` finds its resource

account() { # NAME, DISPLAY NAME
  exists iam service-accounts describe "$1@$project.iam.gserviceaccount.com" ||
    quietly iam service-accounts create "$1" --display-name="$2"
}

role() { # ID, TITLE, PERMISSIONS: a role of this project with exactly these permissions
  if exists iam roles describe "$1"; then
    quietly iam roles update "$1" --permissions="$3"
  else
    quietly iam roles create "$1" --title="$2" --permissions="$3" --stage=GA
  fi
}

on_project() { # MEMBER, ROLE
  retry projects add-iam-policy-binding "$project" --member="$1" --role="$2" --condition=None
}

on_bucket() { # BUCKET, MEMBER, ROLE
  retry storage buckets add-iam-policy-binding "$1" --member="$2" --role="$3"
}

on_topic() { # TOPIC, MEMBER, ROLE
  retry pubsub topics add-iam-policy-binding "$1" --member="$2" --role="$3"
}

on_account() { # ACCOUNT, MEMBER, ROLE
  retry iam service-accounts add-iam-policy-binding "$1" --member="$2" --role="$3"
}
