#!/usr/bin/env bash
# The outside clients that the tests run, as Debian packages: installed when missing and allowed, else named.
# A test whose client is missing skips with the client's name, so nothing is passed over silently.
# With the word `bench`: also what the benchmarks load with and measure against.
set -euo pipefail

declare -A client_of=(
  [openssl]=openssl [curl]=curl [poppler-utils]=pdfsig [libnss3-tools]=certutil [xmlsec1]=xmlsec1
  [gnutls-bin]=ocsptool [default-jdk-headless]=javac [p11-kit]=p11-kit
  [softhsm2]=softhsm2-util [postgresql]=pg_ctlcluster [nginx]=nginx [chromium-headless-shell]=chromium-headless-shell
)
# What WeasyPrint loads, to print on paper.
declare -A library_of=(
  [libpango-1.0-0]=libpango-1.0.so.0 [libpangoft2-1.0-0]=libpangoft2-1.0.so.0
  [libharfbuzz-subset0]=libharfbuzz-subset.so.0
)
[ "${1:-}" = bench ] && client_of+=([wrk]=wrk [golang-cfssl]=cfssl)
PATH+=:/usr/sbin  # where nginx and ldconfig lie; not every user's PATH has it

missing=()
for package in "${!client_of[@]}"; do
  command -v "${client_of[$package]}" >/dev/null || missing+=("$package")
done
libraries=$(ldconfig -p 2>/dev/null || true)
for package in "${!library_of[@]}"; do
  [[ $libraries == *"${library_of[$package]} "* ]] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "Installing outside programs: ${missing[*]}"
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null
  # The package starts a server for all the world on port 80; the tests start their own, on the loopback.
  if [[ " ${missing[*]} " == *" nginx "* ]]; then
    systemctl --quiet disable --now nginx 2>/dev/null || true
  fi
else
  echo "Not installed, and not allowed to: ${missing[*]}. The tests that need them are skipped and named."
fi
