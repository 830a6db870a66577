#!/usr/bin/env bash
# Puts Caffe's source tree, commit 99bd997, into the folder $1, from the first
# of: CAFFE_SOURCE (a folder or a tarball), this project's cache, Debian's
# source package, upstream's archive. Whatever the way, what arrives is that
# commit or nothing: the files that we build from are checked by SHA-256.
set -euo pipefail

commit=99bd99795dcdf0b1d3086a8d67ab1782a8a08383
tree_sha256=18c442ece2ef0414948e404a05a86497810c17dda6f1634b74cab0c4866df508
version=1.0.0+git20180821.99bd997
debian_suite=bullseye
upstream="${CAFFE_UPSTREAM:-https://github.com/BVLC/caffe/archive}/$commit.tar.gz"

target=$1
cache="${DEC_CACHE:-$HOME/.cache/dec-caffe}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "caffe source: $*" >&2; }

# The digest of a tree: names and contents of all that is compiled or imported.
tree_digest() {
  (cd "$1" && find include src python/caffe tools -type f \
      \( -name '*.[ch]pp' -o -name '*.[ch]' -o -name '*.cu' -o -name '*.py' \
         -o -name '*.proto' \) ! -path 'python/caffe/proto/*' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
}

unpack() {  # tarball or folder $1 to $work/tree
  rm -rf "$work/tree" && mkdir "$work/tree"
  if [[ -d $1 ]]; then
    cp -a "$1/." "$work/tree"
  else
    tar -xf "$1" -C "$work/tree" 2>"$work/tar.log" || return 1
    # An archive may hold the tree in one folder of its own.
    local entries=("$work/tree"/*)
    if [[ ${#entries[@]} == 1 && -d ${entries[0]} ]]; then
      mv "${entries[0]}" "$work/inner" && rmdir "$work/tree" &&
        mv "$work/inner" "$work/tree"
    fi
  fi
  # Debian's unpacked source package has Debian's patches applied.
  local applied="$work/tree/.pc/applied-patches" name
  if [[ -s $applied ]]; then
    for name in $(tac "$applied"); do
      patch -R -s -p1 -d "$work/tree" <"$work/tree/debian/patches/$name" ||
        return 1
    done
  fi
}

verified() {  # unpacks $1 and says whether it is the pinned commit
  [[ -e $1 ]] && unpack "$1" || return 1
  [[ $(tree_digest "$work/tree" 2>/dev/null) == "$tree_sha256" ]]
}

from_debian() {
  command -v apt-get >/dev/null || return 1
  # An apt configuration of its own, made from the machine's: the same mirrors
  # and keys, the suite that has the source package, nothing changed outside.
  local apt="$work/apt" codename
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [[ -n $codename ]] || return 1
  mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/cache/archives/partial"
  local file
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -e $file ]] || continue
    # Stanzas of the release itself, not of its security updates.
    sed '/^[[:space:]]*#/d' "$file" | awk -v RS= -v ORS='\n\n' \
        -v suite="(^|\n)Suites:[^\n]*[ \t]$codename([ \t\n]|$)" '$0 ~ suite' |
      sed "s/^Types:.*/Types: deb-src/; s/^Suites:.*/Suites: $debian_suite/;
           s/^Components:.*/Components: main/" \
        >"$apt/parts/$(basename "$file")"
  done
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -nE "s/^deb (\[[^]]*\] )?([^ ]+) $codename .*/deb-src \1\2 $debian_suite main/p" \
    >"$apt/parts/lines.list" || true
  local options=(-qq -o Dir::Etc::sourcelist=/dev/null
    -o "Dir::Etc::sourceparts=$apt/parts" -o "Dir::State::lists=$apt/lists"
    -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root
    -o Acquire::Retries=2 -o Acquire::http::Timeout=20)
  apt-get "${options[@]}" update >"$work/apt.log" 2>&1 &&
    (cd "$apt" && apt-get "${options[@]}" source --download-only \
       "caffe=$version-8") >>"$work/apt.log" 2>&1 || return 1
  mv "$apt/caffe_$version.orig.tar.gz" "$work/caffe.tar.gz"
}

from_upstream() {
  /usr/bin/env python3 - "$upstream" "$work/caffe.tar.gz" <<'PY' 2>"$work/http.log"
import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=20) as reply:
    with open(sys.argv[2], "wb") as out:
        shutil.copyfileobj(reply, out)
PY
}

keep() {  # moves the verified tree into place, and the tarball to the cache
  if [[ -n ${1:-} ]]; then
    mkdir -p "$cache" && mv "$1" "$cache/caffe.part" &&
      mv "$cache/caffe.part" "$cache/caffe-99bd997.tar.gz"
  fi
  mkdir -p "$(dirname "$target")"
  rm -rf "$target.new" "$target"
  mv "$work/tree" "$target.new" && mv "$target.new" "$target"
  exit 0
}

if [[ -n ${CAFFE_SOURCE:-} ]]; then
  if verified "$CAFFE_SOURCE"; then say "from $CAFFE_SOURCE"; keep; fi
  say "CAFFE_SOURCE=$CAFFE_SOURCE is not Caffe's commit $commit."
  [[ -e $CAFFE_SOURCE ]] && say "(found a tree of another version, or with" \
    "changes, or a file that is not a tar archive)"
  exit 1
fi
if verified "$cache/caffe-99bd997.tar.gz"; then
  say "from the cache $cache"
  keep
fi
for way in debian upstream; do
  say "trying $way ..."
  if from_$way && verified "$work/caffe.tar.gz"; then
    say "from $way, verified"
    keep "$work/caffe.tar.gz"
  fi
done
cat >&2 <<MESSAGE
caffe source: neither Debian's source package nor upstream's archive could be
had and verified from here:
  Debian:   $(tail -n 1 "$work/apt.log" 2>/dev/null || echo "no apt-get")
  upstream: $(tail -n 1 "$work/http.log" 2>/dev/null)
Fetch $upstream
on another machine, and name the file here:
  make caffe CAFFE_SOURCE=/path/to/$commit.tar.gz
MESSAGE
exit 1
