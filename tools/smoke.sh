#!/usr/bin/env bash
# Asks the API of a stack on AWS whether its model is ready, through the gateway and as a caller would: tools/smoke.sh STACK.
# Where callers need a token or an API key, which this script has not, the gateway has to refuse it.
set -euo pipefail

stack=${1:?a stack, like pilotlight-staging}

describe() { aws cloudformation describe-stacks --stack-name "$stack" --output text --query "Stacks[0].$1"; }

url=$(describe "Outputs[?OutputKey=='ApiUrl'].OutputValue")
authorization=$(describe "Parameters[?ParameterKey=='Authorization'].ParameterValue")

expected=200
options=(--silent --show-error --max-time 40 --retry 3 --output /dev/null --write-out '%{http_code}')
case $authorization in
iam)
	options+=(--aws-sigv4 "aws:amz:${AWS_REGION:-$AWS_DEFAULT_REGION}:execute-api")
	options+=(--header "x-amz-security-token: ${AWS_SESSION_TOKEN:-}")
	;;
jwt | api-key) expected=401 ;;
esac

# The key goes by standard input: arguments can be read by every process.
if [ "$authorization" = iam ]; then
	status=$(curl "${options[@]}" --config - "$url/health/ready" <<<"user = \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\"")
else
	status=$(curl "${options[@]}" "$url/health/ready")
fi

echo "$url/health/ready answers $status"
if [ "$status" != "$expected" ]; then
	echo "error: expected $expected, with the authorization $authorization" >&2
	exit 1
fi
