#!/bin/sh
# Installs the development tools (npm ci) when node_modules is not what package-lock.json says, else does nothing.
# Everything that needs node_modules calls this first, so that a fresh clone needs Node, npm and git only.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root"
is_fresh() { cmp -s package-lock.json node_modules/.holdfast-lock; }
is_fresh && exit 0

for program in node npm; do
  if ! command -v $program >/dev/null 2>&1; then
    echo "holdfast: $program is not installed; Holdfast needs Node 20.19 or newer" >&2
    exit 1
  fi
done
if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'; then
  echo "holdfast: Node $(node -p process.versions.node) is too old; Holdfast needs 20.19 or newer" >&2
  exit 1
fi

# Two at once would delete each other's files. A lock left by a dead process is taken over.
lock=$root/.set-up.lock
waited=0
until mkdir "$lock" 2>/dev/null; do
  owner=$(cat "$lock/pid" 2>/dev/null || true)
  if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
    rm -rf -- "$lock"
    continue
  fi
  [ $waited -eq 0 ] && echo "holdfast: waiting for another set-up to end" >&2
  waited=$((waited + 1))
  if [ $waited -gt 300 ]; then
    echo "holdfast: gave up waiting; remove $lock if no other set-up is running" >&2
    exit 1
  fi
  sleep 1
done
echo $$ >"$lock/pid"
trap 'rm -rf -- "$lock"' EXIT
trap 'exit 1' HUP INT TERM
is_fresh && exit 0

echo 'holdfast: installing the development tools (npm ci); once per change of package-lock.json' >&2
npm ci --no-audit --no-fund --loglevel=error >&2
# npm wrote the stamp through package.json's "dependencies" script, unless scripts are switched off.
cp package-lock.json node_modules/.holdfast-lock
