#!/bin/sh
# Brings the real peers that Holdfast is compared with onto this machine, and prints where each one is.
#
#   tools/peers.sh           install and build what is missing, then list (npm run peers)
#   tools/peers.sh --list    only list
#   tools/peers.sh --remove  delete what was built (Debian's packages stay)
#
# Required: Debian's etcd-client, etcd-server and python3-etcd3, and what the failure test breaks things with (iproute2,
# strace); without them this fails.
# Installed where apt can: chromium, which opens the pages of reports; otherwise one line says that it was left out.
# Where Go >= 1.24 is present: etcd 3.6, etcdctl, etcdutl, etcd's benchmark and our clientv3 program, built from
# proof/peers/go through the Go module proxy; otherwise one line says that they were left out.
# Where a JDK and Maven are: our program on jetcd, built from proof/peers/java; otherwise one line says that it was left out.
# Built programs go to $HOLDFAST_PEERS, by default ${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/peers/bin, which is
# outside the repository, so that a fresh clone finds them again. proof/peers/peers.ts looks there.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
modules=$root/proof/peers/go
java_program=$root/proof/peers/java
bin=${HOLDFAST_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/peers/bin}
debian_packages='etcd-client etcd-server python3-etcd3 iproute2 strace'

say() { printf '%s\n' "peers: $*" >&2; }

debian_complete() {
  [ -x /usr/bin/etcd ] && [ -x /usr/bin/etcdctl ] && /usr/bin/python3 -c 'import etcd3' >/dev/null 2>&1 &&
    [ -x /usr/bin/strace ] && { [ -x /usr/sbin/ip ] || [ -x /sbin/ip ] || [ -x /usr/bin/ip ]; }
}

install_debian() {
  debian_complete && return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    say "Cannot install $debian_packages: apt-get is not here; install them by hand"
    return 1
  fi
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    as_root='sudo -n'
    if ! $as_root true 2>/dev/null; then
      say "Cannot install: run as root: apt-get update && apt-get install $debian_packages"
      return 1
    fi
  fi
  say "installing $debian_packages"
  # A package list as old as the image may name versions that the mirror no longer has.
  $as_root apt-get update -qq >&2
  # shellcheck disable=SC2086 # a list of words
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    $debian_packages >&2
  stop_debian_service "$as_root"
  if ! debian_complete; then
    say "$debian_packages were installed and yet something is missing"
    return 1
  fi
}

# Debian's package starts an etcd on port 2379, which is ours by default. Only that service is stopped, and only
# after we installed it.
stop_debian_service() {
  if [ -d /run/systemd/system ]; then
    $1 systemctl disable --now etcd.service >/dev/null 2>&1 || true
  elif [ -s /run/etcd.pid ] && [ -x /etc/init.d/etcd ]; then
    $1 /etc/init.d/etcd stop >/dev/null 2>&1 || true
  fi
}

# A browser is large and no claim of the store depends on it: a machine without apt does without.
install_browser() {
  [ -x /usr/bin/chromium ] && return 0
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    say 'installing chromium'
    apt-get update -qq >&2 || true
    env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >&2 || true
  fi
  [ -x /usr/bin/chromium ] || say 'left out: chromium (not root, or apt does not have it)'
}

# The module file to build from: the newest etcd 3.6 wants Go 1.26, an earlier one is content with 1.24.
# Prints nothing when Go is missing or too old.
module_file() {
  command -v go >/dev/null 2>&1 || return 0
  minor=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  [ -n "$minor" ] || return 0
  if [ "$minor" -ge 26 ]; then
    echo go.mod
  elif [ "$minor" -ge 24 ]; then
    echo go1.24.mod
  fi
}

build_go() {
  file=$(module_file)
  if [ -z "$file" ]; then
    say 'left out: etcd 3.6, etcdctl, etcdutl, benchmark, clientv3 (Go 1.24 or newer is not here)'
    return 0
  fi
  stamp=$( (go env GOVERSION && cd "$modules" && cat "$file" ./*.go ./*/*.go) | cksum)
  if [ "$(cat "$bin/.stamp" 2>/dev/null)" = "$stamp" ]; then
    return 0
  fi
  mkdir -p "$bin"
  rm -f "$bin/.stamp"
  build_one "$file" etcd go.etcd.io/etcd/server/v3
  build_one "$file" etcdctl go.etcd.io/etcd/etcdctl/v3
  build_one "$file" etcdutl go.etcd.io/etcd/etcdutl/v3
  build_one "$file" clientv3 .
  build_one "$file" walcheck ./walcheck
  # The benchmark is in etcd's root module, which is published less often; nothing depends on it.
  build_one "$file" benchmark go.etcd.io/etcd/v3/tools/benchmark || say 'left out: benchmark (it did not build)'
  printf '%s\n' "$stamp" >"$bin/.stamp"
}

build_one() {
  say "building $2 ($3)"
  # Built beside and renamed: somebody may be running the old one. Tried twice: the proxy may have had a bad moment.
  (cd "$modules" && {
    go build -trimpath -modfile="$1" -o "$bin/.$2.new" "$3" || go build -trimpath -modfile="$1" -o "$bin/.$2.new" "$3"
  }) || return 1
  mv -f "$bin/.$2.new" "$bin/$2"
}

# A program of a folder of jars and a script that starts it. Nothing depends on it where Maven's repository cannot be reached.
build_java() {
  if ! command -v mvn >/dev/null 2>&1 || ! command -v javac >/dev/null 2>&1; then
    say 'left out: jetcd (a JDK and Maven are not here)'
    return 0
  fi
  stamp=$( (javac -version 2>&1 && find "$java_program" -type f -exec cat {} +) | cksum)
  if [ "$(cat "$bin/.stamp-java" 2>/dev/null)" = "$stamp" ]; then
    return 0
  fi
  say 'building jetcd (proof/peers/java)'
  jars=$bin/jetcd-jars
  rm -rf -- "$jars" "$bin/.stamp-java"
  mkdir -p "$jars"
  if ! mvn -q -B -f "$java_program/pom.xml" -Dpeers.build="$jars/build" compile \
    dependency:copy-dependencies -DoutputDirectory="$jars/lib" >&2; then
    say 'left out: jetcd (it did not build)'
    return 0
  fi
  cat >"$bin/.jetcd.new" <<END
#!/bin/sh
exec java -cp '$jars/build/classes:$jars/lib/*' JetcdCheck "\$@"
END
  chmod +x "$bin/.jetcd.new"
  mv -f "$bin/.jetcd.new" "$bin/jetcd"
  printf '%s\n' "$stamp" >"$bin/.stamp-java"
}

row() { # name, path, version
  if [ -x "$2" ]; then printf '%-16s %-9s %s\n' "$1" "$3" "$2"; else printf '%-16s %-9s %s\n' "$1" missing "$2"; fi
}

version_of() { "$@" 2>/dev/null | sed -n '1s/.*[: ]v\{0,1\}\([0-9][0-9.]*\).*/\1/p'; }

list() {
  row etcd "$bin/etcd" "$(version_of "$bin/etcd" --version)"
  row etcdctl "$bin/etcdctl" "$(version_of "$bin/etcdctl" version)"
  row etcdutl "$bin/etcdutl" "$(version_of "$bin/etcdutl" version)"
  row benchmark "$bin/benchmark" -
  row clientv3 "$bin/clientv3" -
  row walcheck "$bin/walcheck" -
  row jetcd "$bin/jetcd" -
  row etcd-debian /usr/bin/etcd "$(version_of /usr/bin/etcd --version)"
  row etcdctl-debian /usr/bin/etcdctl "$(version_of /usr/bin/etcdctl version)"
  if /usr/bin/python3 -c 'import etcd3' >/dev/null 2>&1; then python=import; else python=; fi
  row python3-etcd3 "${python:+/usr/bin/python3}" "$(version_of /usr/bin/python3 -c 'import etcd3; print("version: " + etcd3.__version__)')"
  row chromium /usr/bin/chromium "$(version_of /usr/bin/chromium --version)"
  row zookeeper /usr/share/zookeeper/bin/zkServer.sh -
}

case ${1:-} in
  --list) list ;;
  --remove) rm -rf -- "$bin" ;;
  '')
    install_debian
    install_browser
    build_go
    build_java
    list
    ;;
  *)
    echo 'usage: tools/peers.sh [--list|--remove]' >&2
    exit 2
    ;;
esac
