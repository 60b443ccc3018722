#!/bin/sh
# Makes the bucket, unless it is there.
set -eu
code="$(curl --silent --show-error --output /dev/null --write-out '%{http_code}' \
  --retry 5 --retry-connrefused --request PUT \
  --aws-sigv4 "aws:amz:$AWS_REGION:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
  "$AWS_ENDPOINT_URL/$1")"
case "$code" in
  200) echo "bucket $1 was made" ;;
  409) echo "bucket $1 is there" ;;
  *) echo "bucket $1 cannot be made: HTTP $code" >&2; exit 1 ;;
esac
