#!/usr/bin/env bash
# What the scripts of this folder share: messages, set-up of the machine, the build, and the change of user.
#
# Sourced, never run. Every `ensure_…` looks first and changes only what is missing, so calling all of them again
# costs well under a second. Nothing here starts a service.
#
# Two kinds of caller: root (the service user `tstr` is made, and everything that must not be root runs as it), and
# an ordinary user (everything runs as that user; `sudo` is asked for only while something is missing).
set -euo pipefail
umask 022

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
SERVICE_USER=tstr
# 32 blocks of 65536 ids: each running container gets a block to itself.
SUBIDS=2097152
SYSTEM_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
: "${HOME:=$(getent passwd "$EUID" | cut -d: -f6)}"
export HOME

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }
is_root() { [ "$EUID" -eq 0 ]; }

# as_root CMD…: runs CMD as root, by sudo where we are not root ourselves.
as_root() {
  if is_root; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -- "$@"
  else
    die "this step needs root, and there is no sudo here. As root: $*"
  fi
}

# ---------------------------------------------------------------------------------------------------- packages

package_is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
    apt-get -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}

# need_packages NAME…: installs those Debian packages that are missing, and nothing else.
need_packages() {
  local missing=() package
  command -v dpkg-query >/dev/null || die "no dpkg here. Install by hand what these Debian packages hold: $*"
  for package in "$@"; do
    package_is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  # The package lists are renewed only when they are too old to be of use: the first try often does it.
  apt_get install -y --no-install-recommends "${missing[@]}" ||
    { apt_get update && apt_get install -y --no-install-recommends "${missing[@]}"; } ||
    die "apt could not install: ${missing[*]}"
}

ensure_base() { need_packages gcc libc6-dev curl ca-certificates util-linux; }

# Server programs only. Debian would also create and start a cluster `main` on port 5432, which nobody asked for; a
# drop-in says no while the package is configured, and is gone afterwards. Clusters that exist are left alone.
ensure_postgres() {
  local bin dropin=/etc/postgresql-common/createcluster.d/tstr-no-main-cluster.conf status=0
  for bin in /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb; do
    [ -x "$bin" ] && return 0
  done
  command -v initdb >/dev/null && return 0
  # shellcheck disable=SC2016 # the inner shell expands
  as_root sh -c 'mkdir -p "${1%/*}" && echo "create_main_cluster = false" >"$1"' sh "$dropin"
  (need_packages postgresql) || status=$?
  as_root rm -f "$dropin"
  return "$status"
}

# ensure_node [VERSION]: Node.js of that version (18 unless said) or newer, with npm. The web UI and the benchmark beside
# graphile-worker need it. Where the distribution's is older (Debian 12 has 18), npm installs a newer one beside the builds.
ensure_node() {
  local floor=${1:-18} beside
  beside=$(bin_dir)/node
  [ ! -x "$beside/node_modules/node/bin/node" ] || export PATH="$beside/node_modules/node/bin:$PATH"
  [ "$(node_version)" -lt "$floor" ] || ! command -v npm >/dev/null || return 0
  need_packages nodejs npm
  [ "$(node_version)" -lt "$floor" ] || return 0
  say "installing Node.js $floor in $beside"
  npm install --prefix "$beside" --no-audit --no-fund "node@$floor" >&2 || die "npm could not install Node.js $floor"
  export PATH="$beside/node_modules/node/bin:$PATH"
  [ "$(node_version)" -ge "$floor" ] || die "Node.js $floor or newer is needed, this is $(node --version 2>&1 | head -n1)"
}
node_version() {
  local have
  have=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p')
  echo "${have:-0}"
}

# The browser of the tests of the web UI.
ensure_chromium() { command -v chromium >/dev/null || need_packages chromium; }

# The least pgbouncer that keeps prepared statements for its clients.
PGBOUNCER_FLOOR=1.21
# Where the pooler of the tests is: that of the machine if it is new enough, else one that was built here.
pgbouncer_path() {
  local found
  found=$(command -v pgbouncer || true)
  if is_new_pgbouncer "$found"; then echo "$found"; else echo "$(bin_dir)/pgbouncer"; fi
}
is_new_pgbouncer() {
  local have
  have=$([ -x "$1" ] && "$1" --version 2>/dev/null | awk 'NR == 1 { print $2 }')
  [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$PGBOUNCER_FLOOR" "$have" | sort -V | head -n1)" = "$PGBOUNCER_FLOOR" ]
}

# Debian 12 has a pooler that is too old, and its package would start a service. So the source of a newer Debian is
# fetched by apt, which checks its signature, and built; nothing is installed but its one library.
ensure_pgbouncer() {
  local work mirror apt
  ! is_new_pgbouncer "$(pgbouncer_path)" || return 0
  need_packages make pkg-config libevent-dev
  # shellcheck disable=SC2016 # apt expands
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | awk '/\/debian(\.list)?\/?$/ { uri = $0 } END { print uri }')
  [ -n "$mirror" ] || die "apt knows no mirror of Debian here: a pgbouncer of version $PGBOUNCER_FLOOR or newer is needed"
  say "building pgbouncer $PGBOUNCER_FLOOR or newer into $(bin_dir)"
  work=$(mktemp -d)
  (
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    mkdir -p lists/partial cache/archives/partial
    echo "deb-src $mirror trixie main" >sources.list
    apt=(apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/lists"
      -o Dir::Cache="$work/cache" -o Acquire::Languages=none -o Dpkg::Use-Pty=0)
    ! is_root || apt+=(-o APT::Sandbox::User=root)
    { "${apt[@]}" update && "${apt[@]}" source --download-only pgbouncer; } >&2 || die "apt could not fetch the source of pgbouncer"
    tar -xzf pgbouncer_*.orig.tar.gz --strip-components=1
    { ./configure --without-openssl --without-pam --without-cares && make pgbouncer; } >build.log 2>&1 ||
      { tail -n 20 build.log >&2; die "pgbouncer could not be built"; }
    install_for_run_user ./pgbouncer "$(bin_dir)/pgbouncer"
  )
}

ensure_podman() {
  need_packages podman runc conmon catatonit slirp4netns uidmap fuse-overlayfs busybox-static
  ensure_setuid_maps
  ensure_device /dev/net/tun 10 200
  ensure_device /dev/fuse 10 229
  local switch=/proc/sys/kernel/unprivileged_userns_clone
  if [ -r "$switch" ] && [ "$(cat "$switch")" = 0 ]; then
    die "this kernel forbids user namespaces to ordinary users, and Podman needs them: sysctl kernel.unprivileged_userns_clone=1"
  fi
}

# What rows of tests/faults break things with: wrong clocks, failing disks, packet filters, small file systems.
ensure_faults() { need_packages faketime fiu-utils nftables iproute2 e2fsprogs; }

# newuidmap and newgidmap lose their setuid bit in some machine images; file capabilities do as well.
ensure_setuid_maps() {
  local name path
  for name in newuidmap newgidmap; do
    path=$(command -v "$name" || echo "/usr/bin/$name")
    [ -u "$path" ] || getcap "$path" 2>/dev/null | grep -q cap_set || as_root chmod u+s "$path"
  done
}

# ensure_device PATH MAJOR MINOR: the node exists and everybody may open it, as udev would have it. Only a warning when
# that is impossible: containers without a network need neither device.
ensure_device() {
  if [ -c "$1" ] && [ "$(stat -c %a "$1")" = 666 ]; then return 0; fi
  if [ ! -c "$1" ]; then
    as_root mkdir -p "${1%/*}"
    as_root mknod "$1" c "$2" "$3" || { say "cannot make $1: tests with a network will not work"; return 0; }
  fi
  as_root chmod 666 "$1" || say "cannot open $1 to all users: tests with a network may not work"
}

# ------------------------------------------------------------------------------------------------------- users

# The user that PostgreSQL, Podman and tstr run as.
run_user() { if is_root; then echo "$SERVICE_USER"; else id -un; fi; }
run_home() { if is_root; then getent passwd "$SERVICE_USER" | cut -d: -f6; else echo "$HOME"; fi; }
# Short, because it becomes part of socket paths.
run_dir() { if is_root; then echo "/run/$SERVICE_USER"; else echo "${XDG_RUNTIME_DIR:-}"; fi; }

ensure_user() {
  local user home
  user=$(run_user)
  if is_root && ! getent passwd "$user" >/dev/null; then
    say "creating the system user $user"
    # A second set-up may be at it in the same moment.
    useradd --system --user-group --create-home --home-dir "/var/lib/$user" --shell /bin/sh "$user" ||
      getent passwd "$user" >/dev/null || die "cannot create the user $user"
  fi
  ensure_subids subuid "$user"
  ensure_subids subgid "$user"
  is_root || return 0
  home=$(run_home)
  install -d -m 755 -o "$user" -g "$(id -gn "$user")" "$home"
  install -d -m 700 -o "$user" -g "$(id -gn "$user")" "$(run_dir)"
}

# ensure_subids subuid|subgid USER: the user has at least $SUBIDS subordinate ids, else one free block more.
ensure_subids() {
  local file=/etc/$1 user=$2 have
  have=$(awk -F: -v name="$user" -v id="$(id -u "$user")" \
    '$1 == name || $1 == id { n += $3 } END { printf "%d", n }' "$file" 2>/dev/null || true)
  [ "${have:-0}" -lt "$SUBIDS" ] || return 0
  say "granting $user $SUBIDS ids in $file"
  # The lock is held while the free block is looked for and taken.
  # shellcheck disable=SC2016 # the inner shell expands
  as_root sh -c '
    touch /etc/subuid /etc/subgid
    exec 9>>"$1"; flock 9
    start=$(awk -F: "BEGIN { max = 100000 } { end = \$2 + \$3; if (end > max) max = end } END { printf \"%d\", max }" "$1")
    printf "%s:%d:%d\n" "$2" "$start" "$3" >>"$1"
  ' sh "$file" "$user" "$SUBIDS"
}

# exec_as_run_user CMD…: replaces this process by CMD, run by the run user. Signals sent to the caller reach CMD, for no
# shell stays between. The environment is made anew: an inherited HOME, XDG_… or CONTAINERS_… of root breaks rootless
# Podman. Variables are dropped here and not given to `env -i`, whose arguments everybody can read in /proc.
exec_as_run_user() {
  local user home name become
  user=$(run_user) home=$(run_home)
  is_root && ! getent passwd "$user" >/dev/null && die "there is no user $user yet; scripts/up and scripts/test create it"
  while read -r name; do
    case $name in
      TSTR_* | RUST_LOG | RUST_BACKTRACE | TERM | NO_COLOR | TZ | PWD | XDG_RUNTIME_DIR | XDG_DATA_HOME | XDG_CONFIG_HOME | XDG_CACHE_HOME) ;;
      *) unset "$name" 2>/dev/null || true ;;
    esac
  done < <(compgen -e)
  export HOME="$home" USER="$user" LOGNAME="$user" LANG=C.UTF-8 PATH="$SYSTEM_PATH"
  if [ "$EUID" -ne 0 ]; then
    exec "$@"
  fi
  unset XDG_DATA_HOME XDG_CONFIG_HOME XDG_CACHE_HOME
  export XDG_RUNTIME_DIR="/run/$SERVICE_USER"
  become=(setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups --inh-caps=-all --)
  # Rootless Podman fails in a working directory that it cannot reach and read.
  if ! "${become[@]}" test -x "$PWD/." || ! "${become[@]}" test -r "$PWD"; then cd "$home"; fi
  exec "${become[@]}" "$@"
}

# as_run_user CMD…: the same as a child.
as_run_user() { (exec_as_run_user "$@"); }

# ----------------------------------------------------------------------------------------------- Rust, and the build

# The least Rust that the workspace accepts, from the one place that says so.
rust_floor() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml"; }
# What rust-toolchain.toml asks rustup for.
rust_channel() { sed -n 's/^channel = "\(.*\)"/\1/p' "$ROOT/rust-toolchain.toml" 2>/dev/null || true; }

cargo_is_new_enough() {
  local have
  have=$(cd "$ROOT" && cargo --version 2>/dev/null | awk '{ sub(/-.*/, "", $2); print $2 }')
  [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$(rust_floor)" "$have" | sort -V | head -n1)" = "$(rust_floor)" ]
}

# ensure_rust: cargo of the needed age, by rustup where it is missing. A cargo of the distribution may stay: ours comes
# first in PATH of these scripts only.
ensure_rust() {
  local channel
  PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  export PATH
  cargo_is_new_enough && return 0
  channel=$(rust_channel)
  if ! command -v rustup >/dev/null; then
    say "no Rust $(rust_floor) here: installing rustup into ${CARGO_HOME:-$HOME/.cargo}"
    curl --proto '=https' --tlsv1.2 -fsSL https://static.rust-lang.org/rustup/rustup-init.sh |
      RUSTUP_INIT_SKIP_PATH_CHECK=yes sh -s -- -y -q --no-modify-path --profile minimal \
        --component rustfmt --component clippy --default-toolchain "${channel:-stable}" >&2 ||
      die "rustup could not be installed; Rust $(rust_floor) or newer is needed (https://rustup.rs)"
  fi
  if ! cargo_is_new_enough; then
    say "installing Rust ${channel:-stable}"
    rustup toolchain install "${channel:-stable}" --profile minimal --component rustfmt --component clippy >&2 ||
      die "Rust ${channel:-stable} could not be installed"
    [ -n "$channel" ] || export RUSTUP_TOOLCHAIN=stable
  fi
  cargo_is_new_enough || die "Rust $(rust_floor) or newer is needed, this is $(cargo --version 2>&1 | head -n1)"
}

# The build goes to a folder outside the clone where one can be had: a fresh clone then builds in seconds.
ensure_target_dir() {
  if [ -z "${CARGO_TARGET_DIR:-}" ]; then
    CARGO_TARGET_DIR=$ROOT/target
    if mkdir -p /var/cache/tstr-target 2>/dev/null && [ -w /var/cache/tstr-target ]; then
      CARGO_TARGET_DIR=/var/cache/tstr-target
    fi
  fi
  mkdir -p "$CARGO_TARGET_DIR"
  CARGO_TARGET_DIR=$(cd "$CARGO_TARGET_DIR" && pwd -P)
  export CARGO_TARGET_DIR
  # Cargo goes by the age of the sources: what another clone built here later than this one's files were written would
  # pass for ours. Of what was built for another clone only the dependencies are kept.
  local mark=$CARGO_TARGET_DIR/.tstr-root
  if [ "$(cat "$mark" 2>/dev/null)" != "$ROOT" ]; then
    rm -rf "$CARGO_TARGET_DIR"/*/.fingerprint/tstr*
    echo "$ROOT" >"$mark"
  fi
}

# build_binary dev|release FILE [CARGO-ARG…]: builds the workspace and copies `tstr` to FILE, which the run user can
# execute. One lock over both, for another clone may build into the same folder.
build_binary() {
  local profile=$1 file=$2 folder=$1
  shift 2
  [ "$profile" != dev ] || folder=debug
  say "building ($profile, in $CARGO_TARGET_DIR)"
  (
    exec 9>"$CARGO_TARGET_DIR/.tstr-build.lock"
    flock 9
    cd "$ROOT"
    cargo build --locked --workspace --profile "$profile" "$@" >&2
    install_for_run_user "$CARGO_TARGET_DIR/$folder/tstr" "$file"
  )
}

# install_for_run_user FROM TO: an executable copy that belongs to the run user, put in place by a rename so that a
# process that runs the old one is not disturbed. Root writes nothing itself below a folder that another user owns.
install_for_run_user() {
  # shellcheck disable=SC2016 # the inner shell expands
  as_run_user sh -c '
    set -e; umask 022; mkdir -p "${1%/*}"
    cat >"$1.new.$$"; chmod 755 "$1.new.$$"; mv -f "$1.new.$$" "$1"
  ' sh "$2" <"$1"
}

# Where the binary lies that `scripts/up` has built last, and `scripts/tstr` runs.
bin_dir() { if is_root; then echo "$(run_home)/bin"; else echo "${XDG_CACHE_HOME:-$HOME/.cache}/tstr/bin"; fi; }

# ------------------------------------------------------------------------------------------------------- folders

# Where `scripts/up` keeps everything when nothing else is said.
default_data_dir() { if is_root; then echo "$(run_home)/data"; else echo "${XDG_DATA_HOME:-$HOME/.local/share}/tstr"; fi; }

# ensure_run_dir DIR: DIR exists and belongs to the run user, or die naming what is in the way. An empty folder is
# handed over; one that holds something is never touched.
ensure_run_dir() {
  local dir=$1 user parent
  user=$(run_user)
  if [ -e "$dir" ] && [ ! -d "$dir" ]; then die "$dir is not a folder"; fi
  parent=$dir
  while [ ! -d "$parent" ]; do parent=${parent%/*}; parent=${parent:-/}; done
  [ "$parent" != "$dir" ] || parent=$(dirname "$dir")
  as_run_user test -x "$parent" ||
    die "the user $user cannot reach $dir: $(first_closed_dir "$parent") is closed to it. Choose a folder outside of it, or open it (chmod o+x)"
  if is_root && { [ ! -d "$dir" ] || [ -z "$(ls -A "$dir")" ]; }; then
    mkdir -p "$dir"
    chown "$user:$(id -gn "$user")" "$dir"
  else
    mkdir -p "$dir"
  fi
  # shellcheck disable=SC2016 # the inner shell expands
  as_run_user sh -c 'test -r "$1" && test -w "$1" && test -x "$1"' sh "$dir" ||
    die "$dir holds something and does not belong to the user $user: choose another folder, or hand it over (chown -R $user $dir)"
}

# The first folder on the way to DIR that the run user cannot pass.
first_closed_dir() {
  local path='' part
  local IFS=/
  for part in ${1#/}; do
    path=$path/$part
    as_run_user test -x "$path" || { echo "$path"; return; }
  done
  echo "$1"
}
