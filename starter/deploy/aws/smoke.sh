#!/usr/bin/env bash
# Checks that a model's API on AWS is ready, through the gateway as a caller: deploy/aws/smoke.sh ENV [MODEL]. ENV is an
# environment of the model's samconfig.toml. If callers need a token or an API key, which this script does not have, it
# expects a 401.
set -euo pipefail

env=${1:?missing environment, like staging}
settings=$(dirname "$0")/../../samconfig.toml
of_model=$(dirname "$0")/../../models/${2:-}/samconfig.toml
[ -z "${2:-}" ] || [ ! -f "$of_model" ] || settings=$of_model
stack=$(python3 -c 'import sys, tomllib
print(tomllib.load(open(sys.argv[1], "rb"))[sys.argv[2]]["global"]["parameters"]["stack_name"])' "$settings" "$env")

describe() { aws cloudformation describe-stacks --stack-name "$stack" --output text --query "Stacks[0].$1"; }

url=$(describe "Outputs[?OutputKey=='ApiUrl'].OutputValue")
authorization=$(describe "Parameters[?ParameterKey=='Authorization'].ParameterValue")

expected=200
options=(--silent --show-error --max-time 40 --retry 3 --output /dev/null --write-out '%{http_code}')
case $authorization in
iam)
	# The keys of a profile or of SSO are in no variable yet.
	[ -n "${AWS_ACCESS_KEY_ID:-}" ] || eval "$(aws configure export-credentials --format env)"
	options+=(--aws-sigv4 "aws:amz:${AWS_REGION:-$AWS_DEFAULT_REGION}:execute-api")
	options+=(--header "x-amz-security-token: ${AWS_SESSION_TOKEN:-}")
	;;
jwt | api-key) expected=401 ;;
esac

# Pass the key on standard input: every process can read arguments.
if [ "$authorization" = iam ]; then
	status=$(curl "${options[@]}" --config - "$url/health/ready" <<<"user = \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\"")
else
	status=$(curl "${options[@]}" "$url/health/ready")
fi

echo "$url/health/ready returned $status"
if [ "$status" != "$expected" ]; then
	echo "error: expected $expected with authorization $authorization" >&2
	exit 1
fi
