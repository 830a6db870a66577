#!/usr/bin/env bash
# Installs the Debian packages that are missing, of those named or else of
# packages.txt. Does nothing, and needs no rights, where all of them are there.
set -euo pipefail
cd "$(dirname "$0")"

[[ $# -gt 0 ]] || set -- $(sed 's/#.*//' packages.txt)
missing=()
for package; do
  if ! dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null |
      grep -qx installed; then
    missing+=("$package")
  fi
done
[[ ${#missing[@]} == 0 ]] && exit 0

if [[ $(id -u) == 0 ]]; then
  sudo=()
elif command -v sudo >/dev/null; then
  sudo=(sudo)
else
  echo "These Debian packages are missing, and installing them needs root:" >&2
  echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# The index may be days old and name versions that are gone: refresh it first.
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends \
  -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
