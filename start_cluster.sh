#!/usr/bin/env bash
# Runs the servers of .env on this machine, in the background.
#
#   ./start_cluster.sh           build if needed, start what does not run, wait for all
#   ./start_cluster.sh --gui     the same, then open the window
#   ./start_cluster.sh status    ask every server: exit 0 all in sync, 1 degraded, 2 not serving
#   ./start_cluster.sh stop      stop all, gracefully
#   ./start_cluster.sh restart   build, then stop and start one server after the other: each only
#                                when all are in sync again, so that clients go on
#   ./start_cluster.sh start N   start server N alone
#   ./start_cluster.sh kill N    SIGKILL to server N, to see what a crash does
#   ./start_cluster.sh logs N    show the log of server N, and follow it on a terminal
#   ./start_cluster.sh reset     ask, stop all, delete all data but the cluster's secret
#
# ENV_FILE names other settings than .env beside this script; CARGO_TARGET_DIR is honoured. Exit
# codes: 0 done, 1 it went wrong (a sentence on stderr says what), 2 wrong use or settings.
#
# What it kills are only processes whose number it wrote itself (DATA_DIR/serverN.pid) and which
# still are that server with these settings. Each stop and restart goes one server at a time.

set -u -o pipefail
export LC_ALL=C

SYNC_S_MAX=90      # For a server that comes back, until it holds what the others hold.
ELECTION_S_MAX=2   # `status` waits so long for a new primary before it calls the cluster down.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
# shellcheck source=server/scripts/cluster.sh
. "$root/server/scripts/cluster.sh" || exit 1

usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
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

# Waits until each server says that all are in sync.
await_sync() {
    local deadline=$((SECONDS + SYNC_S_MAX))
    ask_all
    while [ "$verdict" != 0 ] && [ "$SECONDS" -lt "$deadline" ]; do
        sleep 0.2
        ask_all
    done
    return "$verdict"
}

print_answers() {
    print_table
    [ -z "$waiting" ] || say "waiting: $waiting"
}

word_start_all() {
    build "${1-}"
    # shellcheck disable=SC2086  # A list of numbers.
    start_servers $servers || exit 1
    await_sync
    print_answers
    [ "$verdict" = 0 ] || die 1 "not all servers are in sync: the table says which"
    say "chat: '$client_program' --env '$env_file' chat"
}

word_gui() {
    if [ "$(uname)" = Linux ] && [ -z "${DISPLAY-}${WAYLAND_DISPLAY-}" ]; then
        word_start_all
        say "There is no display for the window here: use the terminal client above."
        return 0
    fi
    word_start_all window
    rm -rf "$scratch"  # No trap runs after an exec.
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
    print_answers
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
    build server
    # Whoever is stopped while another is behind takes a copy away: so all must be there first.
    # shellcheck disable=SC2086  # A list of numbers.
    start_servers $servers || exit 1
    if ! await_sync; then
        print_answers
        die 1 "not all servers are in sync: none was restarted"
    fi
    # The primary last: each change of primary costs its clients a moment.
    local number primary='' order=''
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
        if ! await_sync; then
            print_answers
            die 1 "not all are in sync after server $number: the others were left alone"
        fi
        say "server $number is in sync again"
    done
    print_answers
}

word_start() {
    build server
    start_servers "$1" || exit 1
    # Until it holds what the others hold, or says for whom it waits.
    local deadline=$((SECONDS + ELECTION_S_MAX))
    ask_all
    while [ "$SECONDS" -lt "$deadline" ]; do
        case $(state_of "${answers[$1]}" "$1") in
            primary | in_sync) [ "$verdict" = 2 ] || break ;;
        esac
        sleep 0.2
        ask_all
    done
    print_answers
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
    local answer='' path left kept=''
    for path in "$data_dir"/server[1-9]*.aside-* "$data_dir"/diverged-server[1-9]*; do
        [ ! -e "$path" ] || kept="$kept
  $path"
    done
    [ -z "$kept" ] || say "This goes too, and the cluster may not have what is in it:$kept"
    printf 'Delete every account and message of these servers, in %s? Type yes: ' "$data_dir"
    read -r answer
    [ "$answer" = yes ] || die 1 "nothing was deleted"
    word_stop || exit 1
    # By name, so that nothing goes that the servers did not make.
    for path in "$data_dir"/server[1-9]* "$data_dir"/diverged-server[1-9]* "$data_dir/logs"; do
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
