#!/usr/bin/env bash
# Runs a command beside a MariaDB of its own: in a private folder, on a free port of 127.0.0.1, gone afterwards.
#
#     tests/mariadb.sh cargo test -- --include-ignored      all tests on MariaDB
#     tests/mariadb.sh --max-connections=10 bash            options for mariadbd stand in front of the command
#
# The command finds the URL in MINIM_TEST_DATABASE (user root, no password, as with XAMPP) and the file with the server's
# process id in MINIM_TEST_DATABASE_PID. A server that is killed is started again: that is what some tests do.
# Needs mariadbd and mariadb-install-db (Debian: apt-get install mariadb-server). Works for root and for any other user.
set -euo pipefail

options=()
while [[ "${1:-}" == --* ]]; do
    options+=("$1")
    shift
done
[ $# -gt 0 ] || { echo "usage: tests/mariadb.sh [--OPTION=VALUE ...] COMMAND [WORD ...]" >&2; exit 2; }

PATH=$PATH:/usr/sbin
folder=$(mktemp -d)
socket=$folder/socket
[ "$(id -u)" != 0 ] || options+=(--user=root)

stop() {
    rm -f "$folder/again"
    if [ -s "$folder/pid" ]; then
        kill "$(cat "$folder/pid")" 2>/dev/null || true
    fi
    wait
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

# A server that starts clears its temporary folder of what another may still use: TMPDIR is for each its own.
TMPDIR=$folder mariadb-install-db --no-defaults --datadir="$folder/data" --auth-root-authentication-method=normal \
    --skip-test-db "${options[@]}" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port=$((20000 + RANDOM % 10000))
while is_taken "$port"; do port=$((20000 + RANDOM % 10000)); done

# Until the file `again` is gone, a server that ends is followed by another.
touch "$folder/again"
(
    trap '' INT # Ctrl-C is for the command; we stop the server behind it
    while [ -e "$folder/again" ]; do
        TMPDIR=$folder mariadbd --no-defaults --datadir="$folder/data" --socket="$socket" --bind-address=127.0.0.1 \
            --port="$port" --pid-file="$folder/pid" "${options[@]}" >>"$folder/log" 2>&1 || true
        rm -f "$folder/pid"
    done
) &

touch "$folder/log"
timeout 60 grep -q 'ready for connections' <(tail -n +1 -f --pid=$$ "$folder/log") || true
is_taken "$port" || { cat "$folder/log" >&2; exit 1; }

export MINIM_TEST_DATABASE=mysql://root@127.0.0.1:$port/
export MINIM_TEST_DATABASE_PID=$folder/pid
status=0
"$@" || status=$?
exit "$status"
