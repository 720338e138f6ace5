#!/usr/bin/env bash
# Runs one server of .env on this machine; the others run on machines of their own.
#
#   ./setup_distributed.sh secret           print a fresh CLUSTER_SECRET, to paste into every .env
#   ./setup_distributed.sh N --check        say all that is wrong with server N here, change nothing
#   ./setup_distributed.sh N                check, build, run server N in the foreground
#   ./setup_distributed.sh N --background   check, build, start it and leave
#   ./setup_distributed.sh N --install      check, build, write and enable a systemd unit
#   ./setup_distributed.sh N --print-unit   show that unit, change nothing
#
# The same .env belongs on every machine. The order in which machines are started does not matter.
# What --background started, ./start_cluster.sh stop, logs N and status know too. ENV_FILE and
# CARGO_TARGET_DIR are honoured. Exit codes: 0 done, 1 something is wrong (each thing has a line on
# stderr), 2 wrong use or settings that cannot be read. Written for bash 3.2.

set -u -o pipefail
export LC_ALL=C

CLOCK_S_MAX=5        # Order never depends on clocks; the times that people see do.
PEER_S_MAX=2         # For a peer that does not answer.
SECRET_LENGTH_MIN=32
FILES_KEPT=1024      # Open files beside those of clients.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
# shellcheck source=server/scripts/cluster.sh
. "$root/server/scripts/cluster.sh" || exit 1

usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

# ---- Checks --------------------------------------------------------------------------------------

faults=0
fault() {
    fail "$*"
    faults=$((faults + 1))
}

# The addresses of this machine, one a line; fails where nothing can tell them.
own_addresses() {
    {
        if command -v ip >/dev/null 2>&1; then
            ip -o addr show
        elif command -v ifconfig >/dev/null 2>&1; then
            ifconfig -a
        else
            return 1
        fi
    } 2>/dev/null | awk '{
        for (i = 1; i < NF; i++) {
            if ($i != "inet" && $i != "inet6") continue
            address = $(i + 1)
            sub(/^addr:/, "", address)
            sub(/[\/%].*/, "", address)
            print address
        }
    }'
}

check_address() {
    local ip=$1 own
    case $(uname)-$ip in
        Linux-127.*) return 0 ;; # All of them are this machine.
    esac
    if ! own=$(own_addresses) || [ -z "$own" ]; then
        say "address  $ip: not checked, neither ip nor ifconfig is here"
    elif ! printf '%s\n' "$own" | grep -qixF -- "$ip"; then
        fault "SERVER${number}_IP=$ip is no address of this machine; it has:" \
            "$(printf '%s' "$own" | tr '\n' ' ')"
        return 1
    fi
}

check_secret() {
    local secret loopback=yes other
    secret=$(setting CLUSTER_SECRET)
    for other in $servers; do
        case $(setting "SERVER${other}_IP") in
            127.* | ::1) ;;
            *) loopback=no ;;
        esac
    done
    if [ -n "$secret" ] && [ "${#secret}" -lt "$SECRET_LENGTH_MIN" ]; then
        fault "CLUSTER_SECRET has ${#secret} characters: at least $SECRET_LENGTH_MIN;" \
            "./setup_distributed.sh secret prints a fresh one, the same for all machines"
    elif [ -z "$secret" ] && [ "$loopback" = no ]; then
        fault "CLUSTER_SECRET is empty: ./setup_distributed.sh secret prints one;" \
            "it must be the same on all machines"
    elif [ -z "$secret" ]; then
        say "secret   made in $data_dir: only servers that share this folder find each other"
    elif [ -n "$(find "$env_file" -perm -004 2>/dev/null)" ]; then
        say "secret   others on this machine can read $env_file: chmod 600 it"
    fi
}

# Runs a command for at most so many seconds; its exit code, or 1 when it took longer.
within() {
    local ticks=$(($1 * 10)) pid
    shift
    "$@" &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        if [ "$ticks" -le 0 ]; then
            kill "$pid" 2>/dev/null
            wait "$pid" 2>/dev/null
            return 1
        fi
        ticks=$((ticks - 1))
        sleep 0.1
    done
    wait "$pid"
}

dial() { exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null

# Leaves the answer of a server to `hello` and `ping` in a file, and holds the connection open.
ask_time() {
    exec openssl s_client -quiet -connect "$1" <"$scratch/ask" >"$scratch/time" 2>/dev/null
}

# The seconds since 1970 by the clock of server $1; nothing if it cannot be asked.
clock_of() {
    local ticks=$((PEER_S_MAX * 10)) pid stamp=
    command -v openssl >/dev/null 2>&1 || return 1
    make_scratch
    printf '%s\n' '{"id":1,"op":"hello","d":{"proto":[1],"client":"setup/1"}}' \
        '{"id":2,"op":"ping"}' >"$scratch/ask"
    : >"$scratch/time"
    ask_time "$(client_address "$1")" &
    pid=$!
    while [ -z "$stamp" ] && [ "$ticks" -gt 0 ] && kill -0 "$pid" 2>/dev/null; do
        sleep 0.1
        ticks=$((ticks - 1))
        stamp=$(sed -n 's/.*"ts": *\([0-9]*\)[0-9][0-9][0-9][^0-9].*/\1/p' "$scratch/time")
    done
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    [ -n "$stamp" ] && printf '%s' "$stamp"
}

check_peer() {
    local other=$1 ip port theirs mine off
    ip=$(setting "SERVER${other}_IP")
    port=$(setting "REPLICA_PORT$other")
    if ! within "$PEER_S_MAX" dial "$ip" "$port"; then
        say "server $other $ip port $port: not reachable yet (not started, or a firewall between)"
        return
    fi
    if ! theirs=$(clock_of "$other"); then
        say "server $other $ip port $port: reachable; its clock cannot be asked"
        return
    fi
    mine=$(date +%s)
    off=$((mine - theirs))
    [ "$off" -ge 0 ] || off=$((-off))
    say "server $other $ip port $port: reachable, clocks $off s apart"
    [ "$off" -le "$CLOCK_S_MAX" ] ||
        fault "the clocks of this machine and of server $other are $off s apart:" \
            "at most $CLOCK_S_MAX; set them (NTP)"
}

check() {
    local other
    if ! is_server "$number"; then
        fault "there is no server '$number' in $env_file: SERVER${number}_IP is missing;" \
            "there are:$servers"
    elif check_address "$(setting "SERVER${number}_IP")"; then
        if [ -n "$(running_pid "$number")" ]; then
            say "server $number runs already, process $(running_pid "$number")"
        elif ! ports_are_free "$number" here; then
            faults=$((faults + 1))
        fi
    fi
    check_secret
    for other in $servers; do
        [ "$other" = "$number" ] || check_peer "$other"
    done
    [ "$faults" = 0 ] || die 1 "nothing was started: see the lines above"
}

# ---- The words -----------------------------------------------------------------------------------

# A word of a systemd unit, which may hold spaces.
quoted() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g')"; }

print_unit() {
    local clients
    clients=$(setting MAX_CONNECTIONS)
    cat <<UNIT
[Unit]
Description=Holdfast server $number
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
User=${SUDO_USER:-$(id -un)}
ExecStart=$(quoted "$server_program") --id $number --env $(quoted "$env_file")
Restart=always
RestartSec=1
# Wrong settings: a person has to mend them.
RestartPreventExitStatus=2
LimitNOFILE=$((${clients:-20000} + FILES_KEPT))
TimeoutStopSec=$STOP_S_MAX
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
UNIT
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

word_install() {
    local unit=holdfast-$number.service
    command -v systemctl >/dev/null 2>&1 ||
        die 1 "there is no systemd here: use --background, or what starts services on this system"
    check
    [ -z "$(running_pid "$number")" ] ||
        die 1 "server $number was started by hand: ./start_cluster.sh stop it first"
    build server
    print_unit | as_root tee "/etc/systemd/system/$unit" >/dev/null ||
        die 1 "$unit cannot be written"
    as_root systemctl daemon-reload || exit 1
    as_root systemctl enable --now "$unit" || die 1 "$unit does not start: journalctl -u $unit"
    say "server $number runs now and after each start of this machine: systemctl status $unit"
}

word_background() {
    check
    [ -z "$(running_pid "$number")" ] || return 0
    build server
    launch "$number"
    await_start "$number" || exit 1
    say "server $number runs, process $(running_pid "$number"); its log: $(log_file "$number")"
}

word_foreground() {
    check
    [ -z "$(running_pid "$number")" ] || return 0
    build server
    mkdir -p "$data_dir/logs" || die 1 "$data_dir/logs cannot be made"
    say $$ >"$(pid_file "$number")"
    [ -z "$scratch" ] || rm -rf "$scratch"  # No trap runs after an exec.
    exec "$server_program" --id "$number" --env "$env_file"
}

number=${1-}
case $#-$number in
    1-secret)
        od -An -tx1 -N32 /dev/urandom | tr -d ' \n' && say ''
        exit
        ;;
    1-[1-9] | 2-[1-9]) read_settings ;;
    *) usage ;;
esac
case ${2-} in
    '') word_foreground ;;
    --background) word_background ;;
    --install) word_install ;;
    --print-unit) print_unit ;;
    --check) check && say "server $number can be started here" ;;
    *) usage ;;
esac
