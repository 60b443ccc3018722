#!/usr/bin/env bash
# Runs the three images as Compose and Kubernetes do: as nobody, without capabilities, on a root that nobody can write to.
# IMAGE_TAG is the tag that they have. With PROGRAMS, a folder with sanitizer, sanitizer-scheduler and sanitizer-executor, the
# last stage of each is built around these first, and nothing is compiled. Needs Docker with Buildx, and curl.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${IMAGE_TAG:=try}"
images=ghcr.io/data-sanitizer
hardened=(--read-only --cap-drop ALL --security-opt no-new-privileges --memory 2g)
scratch="$(mktemp -d)"
name="sanitizer-try-$$"
clean_up() {
  docker ps --all --quiet --filter "name=^$name" | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
  docker network rm "$name" >/dev/null 2>&1 || true
  docker volume rm "$name" >/dev/null 2>&1 || true
  rm -rf "$scratch"
}
trap clean_up EXIT

if [ -n "${PROGRAMS:-}" ]; then
  mkdir -p "$scratch/build/src/target/release"
  for program in sanitizer sanitizer-scheduler sanitizer-executor; do
    strip --strip-debug -o "$scratch/build/src/target/release/$program" "$PROGRAMS/$program"
  done
  for pair in scheduler:scheduler executor:executor sanitizer:cli; do
    # The line that names the syntax would be fetched; the engine's own knows it too.
    sed 1d "${pair#*:}/Dockerfile" | docker buildx build --quiet --load --network host --build-context build="$scratch/build" \
      --file - --tag "$images/${pair%:*}:$IMAGE_TAG" . >/dev/null
  done
  echo "built around the programs of $PROGRAMS"
fi

state() { docker inspect --format '{{.State.Health.Status}}' "$1"; }
wait_healthy() {
  for _ in $(seq 60); do
    [ "$(state "$1")" = healthy ] && return
    sleep 1
  done
  docker logs "$1" >&2
  echo "$1 is $(state "$1")" >&2
  return 1
}

# Asked to end, it ends by itself, and well.
stop() {
  docker stop --time 60 "$1" >/dev/null
  local code
  code="$(docker inspect --format '{{.State.ExitCode}}' "$1")"
  [ "$code" = 0 ] || { echo "$1 ended with $code" >&2 && return 1; }
}

printf 'id,name,joined\n1,Ann,2026-01-05\n1,Ann,2026-01-05\n2, bob ,05.02.2026\n' >"$scratch/customers.csv"

# Cleans the table over REST; prints the clean rows.
clean_over_rest() {
  local container="$1" key="$2" url job status
  url="http://$(docker port "$container" 8080/tcp)/api/v1"
  api() { curl --silent --show-error --fail-with-body --header "Authorization: Bearer $key" "$@"; }
  job="$(api "$url/datasets/default/ingest" --form "file=@$scratch/customers.csv" | sed -n 's/.*"job_id":"\([^"]*\)".*/\1/p')"
  for _ in $(seq 60); do
    status="$(api "$url/jobs/$job" | sed -n 's/.*"status":"\([^"]*\)".*/\1/p')"
    case "$status" in
      success) break ;;
      failed | cancelled) api "$url/jobs/$job" >&2 && return 1 ;;
    esac
    sleep 1
  done
  [ "$status" = success ] || { echo "the job is $status" >&2 && return 1; }
  api "$url/jobs/$job/download?format=csv"
}
check_rows() {
  local rows
  rows="$(tail --lines +2 | sort)"
  if [ "$(wc --lines <<<"$rows")" != 2 ] || ! grep --quiet '2026-01-05' <<<"$rows"; then
    echo "these are not the rows: $rows" >&2
    return 1
  fi
}

for image in scheduler executor sanitizer; do
  # With the places of all lines it would have a gigabyte.
  program="$(docker inspect --format '{{index .Config.Entrypoint 0}}' "$images/$image:$IMAGE_TAG")"
  size="$(docker run --rm --entrypoint stat "$images/$image:$IMAGE_TAG" --format %s "/usr/local/bin/$program")"
  [ "$size" -lt 400000000 ] || { echo "$program has $((size / 1000000)) MB" >&2 && exit 1; }
  user="$(docker inspect --format '{{.Config.User}}' "$images/$image:$IMAGE_TAG")"
  [ "$user" = 65532:65532 ] || { echo "$image runs as $user" >&2 && exit 1; }
done
echo "none runs as root, none is too large"

mkdir "$scratch/data"
cp "$scratch/customers.csv" "$scratch/data/"
docker run --rm "${hardened[@]}" --tmpfs /tmp --user "$(id -u)" --volume "$scratch/data:/data" \
  "$images/sanitizer:$IMAGE_TAG" run customers.csv -o clean >/dev/null
[ -s "$scratch/data/clean/metadata.json" ] || { ls -R "$scratch/data" >&2 && exit 1; }
echo "the command line cleans a file of the host"

docker run --detach --name "$name-serve" "${hardened[@]}" --tmpfs /tmp --publish 127.0.0.1::8080 "$images/sanitizer:$IMAGE_TAG" >/dev/null
wait_healthy "$name-serve"
key="$(docker exec "$name-serve" cat /var/lib/data-sanitizer/first-api-key)"
clean_over_rest "$name-serve" "$key" | check_rows
stop "$name-serve"
echo "serve is healthy, cleans over REST, and ends when it is asked to"

docker network create "$name" >/dev/null
# Scheduler and executors see one folder. While it is empty, it takes the owner that it has in the image: nobody's in the executor's.
docker run --rm --volume "$name:/var/lib/data-sanitizer" --entrypoint touch "$images/executor:$IMAGE_TAG" /var/lib/data-sanitizer/shared
helm/compose/certificates.sh "$scratch/authority" "$scratch/members" 2>/dev/null
# The user of the image is not this one.
chmod 0444 "$scratch/members/tls.key"
chmod 0755 "$scratch"
member=("${hardened[@]}" --tmpfs /tmp --network "$name" --volume "$name:/var/lib/data-sanitizer" --volume "$scratch/members:/members:ro"
  --env SANITIZER_CLUSTER_CERT=/members/tls.crt --env SANITIZER_CLUSTER_KEY=/members/tls.key --env SANITIZER_CLUSTER_CA=/members/ca.crt)
docker run --detach --name "$name-scheduler" "${member[@]}" --publish 127.0.0.1::8080 \
  --env SANITIZER_API_DATABASE=sqlite:/var/lib/data-sanitizer/service.sqlite --env SANITIZER_API_STORE=/var/lib/data-sanitizer/store \
  --env SANITIZER_SCHEDULER_BIND=0.0.0.0:50050 --env "SANITIZER_SCHEDULER_EXTERNAL_HOST=$name-scheduler" "$images/scheduler:$IMAGE_TAG" >/dev/null
wait_healthy "$name-scheduler"
for number in 1 2; do
  docker run --detach --name "$name-executor-$number" "${member[@]}" --env "SANITIZER_EXECUTOR_SCHEDULER=df://$name-scheduler:50050" \
    --env "SANITIZER_EXECUTOR_WORK_DIR=/tmp/work" --env SANITIZER_EXECUTOR_BIND_HOST=0.0.0.0 \
    --env "SANITIZER_EXECUTOR_EXTERNAL_HOST=$name-executor-$number" "$images/executor:$IMAGE_TAG" >/dev/null
done
wait_healthy "$name-executor-1"
wait_healthy "$name-executor-2"
key="$(docker logs "$name-scheduler" 2>&1 | sed -n 's/^first API key, shown this once: //p')"
clean_over_rest "$name-scheduler" "$key" | check_rows
for container in executor-1 executor-2 scheduler; do stop "$name-$container"; done
echo "a scheduler and two executors are healthy, clean over REST, and end when they are asked to"
