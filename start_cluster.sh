#!/usr/bin/env bash
# Runs the servers of .env on this machine, in the background.
#
#   ./start_cluster.sh           build if needed, start what does not run, wait for all
#   ./start_cluster.sh --gui     the same, then open the window
#   ./start_cluster.sh status    ask every server: exit 0 all in sync, 1 degraded, 2 not serving
#   ./start_cluster.sh stop      stop all, gracefully
#   ./start_cluster.sh restart   build, then stop and start one server after the other
#   ./start_cluster.sh start N   start server N alone
#   ./start_cluster.sh kill N    SIGKILL to server N, to see what a crash does
#   ./start_cluster.sh logs N    show the log of server N, and follow it on a terminal
#   ./start_cluster.sh reset     ask, stop all, delete all data but the cluster's secret
#
# ENV_FILE names other settings than .env beside this script; CARGO_TARGET_DIR is honoured. Exit
# codes: 0 done, 1 it went wrong (a sentence on stderr says what), 2 wrong use or settings.
#
# What it kills are only processes whose number it wrote itself (DATA_DIR/serverN.pid) and which
# still are that server with these settings. Written for bash 3.2, so that macOS runs it.

set -u -o pipefail
export LC_ALL=C

READY_S_MAX=60     # For reading back a large journal after a crash; usually well under one.
STOP_S_MAX=15      # A server promises five.
ELECTION_S_MAX=2   # `status` waits so long for a new primary before it calls the cluster down.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1

say() { printf '%s\n' "$*"; }
fail() { printf 'start_cluster.sh: %s\n' "$*" >&2; }
die() { fail "$2"; exit "$1"; }

usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

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

# Says of each port of server N that is taken which key changes it. Only on loopback, where a
# connection is made or refused at once; elsewhere the server itself says it when it ends.
ports_are_free() {
    local number=$1 key ip port free=0
    for key in REPLICA_PORT CLIENT_PORT HTTP_PORT; do
        ip=$(setting "SERVER${number}_IP")
        [ "$key" != HTTP_PORT ] || ip=$(setting HTTP_BIND)
        port=$(setting "$key$number")
        case $port-${ip:-127.0.0.1} in
            -* | *[!0-9]*-*) ;; # Not there, or no number: the server says what is wrong with it.
            *-127.* | *-::1)
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

# Asks all: sets `answers` (by number), and `verdict`: 0 all in sync, 1 degraded, 2 not serving.
ask_all() {
    local number answer all=yes serving=no
    answers=()
    waiting=
    for number in $servers; do
        answer=$(ask "$number")
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
            state=$(state_of "${answers[number]}" "$number")
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

# ---- The words -----------------------------------------------------------------------------------

# Starts those of the servers named that do not run, and waits for them.
start_servers() {
    local number ready=0 started=
    for number in "$@"; do
        [ -n "$(running_pid "$number")" ] && continue
        ports_are_free "$number" || ready=1
        started="$started $number"
    done
    [ "$ready" = 0 ] || return 1
    for number in $started; do
        launch "$number"
    done
    for number in $started; do
        await_start "$number" || ready=1
    done
    return "$ready"
}

# Waits until all servers are in sync; the table says where it stands.
await_sync() {
    local deadline=$((SECONDS + $1))
    ask_all
    while [ "$verdict" != 0 ] && [ "$SECONDS" -lt "$deadline" ]; do
        sleep 0.2
        ask_all
    done
    print_table
    [ -z "$waiting" ] || say "waiting: $waiting"
    return "$verdict"
}

word_start_all() {
    build "${1-}"
    # shellcheck disable=SC2086  # A list of numbers.
    start_servers $servers || exit 1
    await_sync "$READY_S_MAX" || die 1 "not all servers are in sync: the table says which"
    say "chat: '$client_program' --env '$env_file' chat"
}

word_gui() {
    if [ "$(uname)" = Linux ] && [ -z "${DISPLAY-}${WAYLAND_DISPLAY-}" ]; then
        word_start_all
        say "There is no display for the window here: use the terminal client above."
        return 0
    fi
    word_start_all window
    exec "$window_program" --env "$env_file"
}

word_status() {
    ask_all
    local deadline=$((SECONDS + ELECTION_S_MAX)) number alive=no
    for number in $servers; do
        [ -z "${answers[number]}" ] || alive=yes
    done
    while [ "$verdict" = 2 ] && [ "$alive" = yes ] && [ "$SECONDS" -lt "$deadline" ]; do
        sleep 0.1
        ask_all
    done
    print_table
    [ -z "$waiting" ] || say "waiting: $waiting"
    exit "$verdict"
}

word_stop() {
    # Downwards, so that server 1 is the last to leave: the last to leave is the first to return.
    local number backwards='' result=0
    for number in $servers; do
        backwards="$number $backwards"
    done
    for number in $backwards; do
        stop_server "$number" || result=1
    done
    return "$result"
}

word_restart() {
    build
    # The primary last: each change of primary costs its clients a moment.
    local number primary='' order=''
    ask_all
    for number in $servers; do
        if [ "$(field "${answers[number]}" role)" = primary ]; then
            primary=$number
        else
            order="$order $number"
        fi
    done
    for number in $order $primary; do
        stop_server "$number" || exit 1
        start_servers "$number" || exit 1
        await_sync "$READY_S_MAX" ||
            die 1 "server $number is not in sync: the others were left alone"
    done
}

word_start() {
    build
    start_servers "$1" || exit 1
    ask_all
    print_table
}

word_kill() {
    local pid
    pid=$(running_pid "$1") || die 1 "server $1 does not run (or was not started by this script)"
    kill -KILL "$pid" || exit 1
    while [ -n "$(running_pid "$1")" ]; do
        sleep 0.05
    done
    say "server $1 (process $pid) was killed; ./start_cluster.sh start $1 brings it back"
}

word_logs() {
    local log
    log=$(log_file "$1")
    [ -r "$log" ] || die 1 "there is no log yet: $log"
    if [ -t 1 ]; then
        exec tail -n 100 -F "$log"
    fi
    exec cat "$log"
}

word_reset() {
    local answer='' path left
    printf 'Delete every account and message of these servers, in %s? Type yes: ' "$data_dir"
    read -r answer
    [ "$answer" = yes ] || die 1 "nothing was deleted"
    word_stop || exit 1
    # By name, so that nothing goes that the servers did not make.
    for path in "$data_dir"/server[1-9]* "$data_dir/logs"; do
        [ ! -e "$path" ] || rm -rf "$path" || die 1 "$path cannot be deleted"
    done
    left=$(find "$data_dir" -mindepth 1 -maxdepth 1 ! -name cluster.secret 2>/dev/null)
    say "deleted; the cluster's secret stays, so clients see the same key"
    [ -z "$left" ] || say "left, because no server made it: $left"
}

word=${1-}
case $#-$word in
    0- | 1---gui | 1-stop | 1-restart | 1-status | 1-reset) read_settings ;;
    2-kill | 2-start | 2-logs)
        read_settings
        is_server "$2" || die 2 "there is no server '$2' in $env_file; there are:$servers"
        ;;
    *) usage ;;
esac
case $word in
    '') word_start_all ;;
    --gui) word_gui ;;
    *) "word_$word" "${2-}" ;;
esac
