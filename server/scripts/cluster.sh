#!/usr/bin/env bash
# What start_cluster.sh and setup_distributed.sh share: settings, processes, what servers say.
#
# Read by both, never run. Expects `root`, the top of the project. What is killed are only processes
# whose number was written here (DATA_DIR/serverN.pid) and which still are that server with these
# settings. Written for bash 3.2, so that macOS runs it.

# shellcheck disable=SC2034,SC2154  # Set here and used there, and the other way.

READY_S_MAX=60     # For reading back a large journal after a crash; usually well under one.
STOP_S_MAX=15      # A server promises five.

self=$(basename "$0")
scratch=

# Makes `scratch`, a folder that goes when the script ends.
make_scratch() {
    [ -z "$scratch" ] || return 0
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/holdfast.XXXXXX") ||
        die 1 "no folder can be made in ${TMPDIR:-/tmp}: make room, or let TMPDIR name another"
    trap 'rm -rf "$scratch"' EXIT
}

say() { printf '%s\n' "$*"; }
fail() { printf '%s: %s\n' "$self" "$*" >&2; }
die() { fail "$2"; exit "$1"; }

# ---- Settings ------------------------------------------------------------------------------------

absolute() {
    case $1 in
        /*) printf '%s' "$1" ;;
        *) printf '%s/%s' "$2" "${1#./}" ;;
    esac
}

# The value of a key: by the environment, else by the file, else nothing.
setting() {
    local key=$1
    if [ -n "${!key+set}" ]; then
        printf '%s' "${!key}"
        return
    fi
    awk -v key="$key" '
        { sub(/\r$/, ""); sub(/^[ \t]*(export[ \t]+)?/, "") }
        index($0, key) != 1 { next }
        {
            rest = substr($0, length(key) + 1)
            if (rest !~ /^[ \t]*=/) next
            sub(/^[ \t]*=[ \t]*/, "", rest)
            quote = substr(rest, 1, 1)
            if (quote == "\"" || quote == "\047") {
                rest = substr(rest, 2)
                sub(quote ".*", "", rest)
            } else {
                sub(/[ \t]+#.*$/, "", rest)
                sub(/^#.*$/, "", rest)
                sub(/[ \t]+$/, "", rest)
            }
            value = rest
        }
        END { printf "%s", value }
    ' "$env_file"
}

read_settings() {
    env_file=$(absolute "${ENV_FILE:-$root/.env}" "$PWD")
    [ -r "$env_file" ] || die 2 "the settings file $env_file cannot be read"

    data_dir=$(setting DATA_DIR)
    case $data_dir in
        *\$*) die 2 "DATA_DIR=$data_dir: write the path out, this script expands nothing" ;;
    esac
    data_dir=$(absolute "${data_dir:-data}" "$(dirname "$env_file")")

    servers=
    local number
    for number in 1 2 3 4 5 6 7 8 9; do
        [ -z "$(setting "SERVER${number}_IP")" ] || servers="$servers $number"
    done
    [ -n "$servers" ] || die 2 "$env_file names no server: SERVER1_IP is missing"

    local target
    target=$(absolute "${CARGO_TARGET_DIR:-$root/target}" "$PWD")
    server_program=$target/release/holdfast-server
    client_program=$target/release/holdfast
    window_program=$target/release/holdfast-gui
}

is_server() {
    case " $servers " in
        *" $1 "*) return 0 ;;
        *) return 1 ;;
    esac
}

pid_file() { printf '%s/server%s.pid' "$data_dir" "$1"; }
log_file() { printf '%s/logs/server%s.log' "$data_dir" "$1"; }
# What the program says before its log is open, and what it dies of.
start_log() { printf '%s/logs/server%s.start.log' "$data_dir" "$1"; }

client_address() {
    local ip
    ip=$(setting "SERVER$1_IP")
    case $ip in
        *:*) ip="[$ip]" ;;
    esac
    printf '%s:%s' "$ip" "$(setting "CLIENT_PORT$1")"
}

# ---- Processes -----------------------------------------------------------------------------------

command_of() {
    if [ -r "/proc/$1/cmdline" ]; then
        tr '\0' ' ' <"/proc/$1/cmdline"
    else
        ps -ww -p "$1" -o command= 2>/dev/null
    fi
}

# Prints the process number of server N if it runs; forgets one that is somebody else by now.
running_pid() {
    local pid=
    [ -r "$(pid_file "$1")" ] && read -r pid <"$(pid_file "$1")"
    [ -n "$pid" ] || return 1
    case "$(command_of "$pid") " in
        *holdfast-server\ --id\ "$1"\ --env\ "$env_file"\ *) printf '%s' "$pid" ;;
        *)
            rm -f "$(pid_file "$1")"
            return 1
            ;;
    esac
}

# Says of each port of server N that is taken which key changes it. Only where a connection is made
# or refused at once: on loopback, or with `here` behind N, for addresses of this machine. Elsewhere
# the server itself says it when it ends.
ports_are_free() {
    local number=$1 key ip port free=0
    local here=${2-}
    for key in REPLICA_PORT CLIENT_PORT HTTP_PORT; do
        ip=$(setting "SERVER${number}_IP")
        [ "$key" != HTTP_PORT ] || ip=$(setting HTTP_BIND)
        port=$(setting "$key$number")
        case $port-${ip:-127.0.0.1}-$here in
            -* | *[!0-9]*-*-*) ;; # Not there, or no number: the server says what is wrong with it.
            *-127.*-* | *-::1-* | *-here)
                if (exec 3<>"/dev/tcp/${ip:-127.0.0.1}/$port") 2>/dev/null; then
                    fail "port $port on $ip is in use by another program: stop that one," \
                        "or change $key$number in $env_file"
                    free=1
                fi
                ;;
        esac
    done
    return "$free"
}

build() {
    if ! command -v cargo >/dev/null 2>&1; then
        [ ! -x "$server_program" ] || [ ! -x "$client_program" ] || return 0
        die 1 "cargo is missing: install Rust (https://rustup.rs), then run this again"
    fi
    cargo build --release --manifest-path "$root/Cargo.toml" -p holdfast-server ||
        die 1 "the build failed: see above"
    if [ "${1-}" = window ]; then
        cargo build --release --manifest-path "$root/Cargo.toml" -p holdfast-gui ||
            die 1 "the build of the window failed: see above"
    fi
}

# Starts server N and leaves: `await_start` sees how it went.
launch() {
    mkdir -p "$data_dir/logs" || die 1 "$data_dir/logs cannot be made"
    # Monitor mode gives the server a process group of its own: an interrupt typed here does not
    # reach it.
    set -m
    "$server_program" --id "$1" --env "$env_file" </dev/null >"$(start_log "$1")" 2>&1 &
    local pid=$!
    set +m
    say "$pid" >"$(pid_file "$1")"
}

# Waits until server N answers. Says why if it ended instead.
await_start() {
    local number=$1 pid deadline=$((SECONDS + READY_S_MAX)) code
    read -r pid <"$(pid_file "$number")"
    while kill -0 "$pid" 2>/dev/null; do
        [ -z "$(ask "$number")" ] || return 0
        if [ "$SECONDS" -ge "$deadline" ]; then
            fail "server $number runs, but did not answer within $READY_S_MAX s:" \
                "see $(log_file "$number")"
            return 1
        fi
        sleep 0.1
    done
    wait "$pid" 2>/dev/null
    code=$?
    rm -f "$(pid_file "$number")"
    fail "server $number ended at its start (code $code). Its last words:"
    tail -n 15 "$(start_log "$number")" | sed 's/^/    /' >&2
    [ "$code" != 2 ] || exit 2
    return 1
}

# SIGTERM to server N, and waits for its end.
stop_server() {
    local pid deadline=$((SECONDS + STOP_S_MAX))
    pid=$(running_pid "$1") || return 0
    kill -TERM "$pid" 2>/dev/null
    while [ -n "$(running_pid "$1")" ]; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            fail "server $1 (process $pid) did not stop within $STOP_S_MAX s:" \
                "see $(log_file "$1"), or: ./start_cluster.sh kill $1"
            return 1
        fi
        sleep 0.1
    done
    say "server $1 stopped"
}

# ---- What the servers say ------------------------------------------------------------------------

# The status object of server N on one line; nothing if it does not answer.
ask() {
    "$client_program" --server "$(client_address "$1")" status --json 2>/dev/null </dev/null |
        tr -d '\n'
}

# A field of a status object: a word, a number, or a whole sentence.
field() { printf '%s' "$1" | sed -n "s/.*\"$2\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; }
sentence() { printf '%s' "$1" | sed -n "s/.*\"$2\": *\"\([^\"]*\)\".*/\1/p"; }

# What the status object $1 says of server $2.
state_of() {
    printf '%s' "$1" | tr '{' '\n' |
        sed -n "s/^ *\"server\": *$2,.*\"state\": *\"\([a-z_]*\)\".*/\1/p"
}

# Asks all at once: sets `answers` (by number), and `verdict`: 0 all in sync, 1 degraded, 2 not
# serving. All are in sync only if each of them says so.
ask_all() {
    local number answer pids='' all=yes serving=no
    answers=()
    waiting=
    make_scratch
    for number in $servers; do
        ask "$number" >"$scratch/answer$number" &
        pids="$pids $!"
    done
    # shellcheck disable=SC2086  # A list of numbers.
    wait $pids
    for number in $servers; do
        answer=$(cat "$scratch/answer$number")
        answers[number]=$answer
        if [ -z "$answer" ]; then
            all=no
            continue
        fi
        [ "$(field "$answer" writable)" != true ] || serving=yes
        [ "$(field "$answer" in_sync)" = "$(field "$answer" of)" ] || all=no
        [ -n "$waiting" ] || waiting=$(sentence "$answer" waiting)
    done
    case $serving-$all in
        yes-yes) verdict=0 ;;
        yes-no) verdict=1 ;;
        *) verdict=2 ;;
    esac
}

print_table() {
    local number pid role state row='%-7s %-22s %-8s %-12s %-8s %s\n'
    # shellcheck disable=SC2059  # The format is the line above.
    printf "$row" server 'client/replica/http' role state pid log
    for number in $servers; do
        pid=$(running_pid "$number") || pid=-
        role=- state=stopped
        [ "$pid" = - ] || state='no answer'
        if [ -n "${answers[number]-}" ]; then
            role=$(field "${answers[number]}" role)
            state=$(state_of "${answers[number]}" "$number" | tr _ ' ')
        fi
        # shellcheck disable=SC2059
        printf "$row" "$number" "$(ports_of "$number")" "$role" "$state" "$pid" \
            "$(log_file "$number")"
    done
}

ports_of() {
    local http
    http=$(setting "HTTP_PORT$1")
    printf '%s/%s/%s' "$(setting "CLIENT_PORT$1")" "$(setting "REPLICA_PORT$1")" "${http:--}"
}
