#!/bin/sh
# Makes the certificates of a cluster's members: certificates.sh AUTHORITY MEMBERS. AUTHORITY keeps the authority and its key, for nobody else;
# MEMBERS gets tls.crt, tls.key and ca.crt, which all members share. Run again, it renews a certificate that ends within 30 days; members that run
# take it up by themselves.
set -eu
authority="$1" members="$2"
name="${SANITIZER_CLUSTER_NAME:-data-sanitizer-cluster}"
curve="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
umask 077
mkdir -p "$authority" "$members"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

if [ ! -e "$authority/ca.crt" ]; then
  # shellcheck disable=SC2086
  openssl req -x509 $curve -days 3650 -subj "/CN=authority of $name" -addext basicConstraints=critical,CA:TRUE \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$authority/ca.key" -out "$work/ca.crt"
  mv "$work/ca.crt" "$authority/ca.crt"
fi
if openssl x509 -in "$members/tls.crt" -noout -checkend 2592000 >/dev/null 2>&1 && cmp -s "$authority/ca.crt" "$members/ca.crt"; then
  exit 0
fi
# shellcheck disable=SC2086
openssl req -new $curve -subj "/CN=$name" -keyout "$work/tls.key" -out "$work/request"
printf '%s\n' "subjectAltName=DNS:$name" "extendedKeyUsage=serverAuth,clientAuth" keyUsage=critical,digitalSignature basicConstraints=critical,CA:FALSE >"$work/extensions"
openssl x509 -req -in "$work/request" -CA "$authority/ca.crt" -CAkey "$authority/ca.key" -CAcreateserial -days 90 -extfile "$work/extensions" -out "$work/tls.crt"
cp "$authority/ca.crt" "$work/ca.crt"
chmod 0755 "$members"
chmod 0444 "$work/tls.crt" "$work/ca.crt"
chmod 0400 "$work/tls.key"
# The user of the images.
if [ "$(id -u)" = 0 ]; then chown 65532:65532 "$work/tls.key"; fi
for file in ca.crt tls.key tls.crt; do mv -f "$work/$file" "$members/$file"; done
