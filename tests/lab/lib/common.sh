# shellcheck shell=bash
# Messages, and processes that outlive the shell that starts them.

say() {
    echo "lab: $*" >&2
}

die() {
    echo "error: $*" >&2
    exit 1
}

# Repeat COMMAND until it succeeds, for at most SECONDS.
wait_until() {
    local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
    shift
    until "$@"; do
        [ "${EPOCHREALTIME/./}" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

# The kernel counts these by user, and all containers share one: its defaults
# are used up by some twenty containers. Incus names them for production, too.
raise_limits() {
    local limit name
    for limit in fs.inotify.max_user_instances=8192 kernel.keys.maxkeys=20000 \
        kernel.keys.maxbytes=2000000; do
        name=${limit%%=*}
        [ "$(sysctl -n "$name")" -ge "${limit#*=}" ] || sysctl -qw "$limit"
    done
}

# A process is known by its pid, its start time and the boot it belongs to, so
# that a recorded one is never confused with another that got the same pid.
proc_identity() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # the 22nd field; the 2nd may hold blanks and parentheses
    local -a fields
    read -ra fields <<<"${stat##*) }"
    [ "${fields[0]}" != Z ] || return 1
    echo "$1 ${fields[19]} $(</proc/sys/kernel/random/boot_id)"
}

proc_record() {
    proc_identity "$1" >"$2"
}

# Prints the pid recorded in FILE when that very process is still alive.
proc_pid() {
    local recorded pid
    recorded=$(cat "$1" 2>/dev/null) || return 1
    pid=${recorded%% *}
    [ -n "$pid" ] && [ "$(proc_identity "$pid")" = "$recorded" ] || return 1
    echo "$pid"
}

proc_gone() {
    ! proc_pid "$1" >/dev/null
}

proc_kill() {
    local file=$1 pid
    if pid=$(proc_pid "$file"); then
        kill -KILL "$pid" 2>/dev/null || true
        wait_until 30 proc_gone "$file" || die "process $pid does not end"
    fi
    rm -f "$file"
}

# Start COMMAND in the background for good: own session, no terminal, output
# in LOG, and not one of our descriptors (a lock, a pipe of the caller).
spawn() {
    local pidfile=$1 log=$2
    shift 2
    (
        trap '' HUP
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            [ "$fd" -le 2 ] || eval "exec $fd>&-"
        done 2>/dev/null
        exec setsid "$@" </dev/null >>"$log" 2>&1
    ) &
    proc_record $! "$pidfile"
}

# Only one command at a time changes a lab.
lab_lock() {
    exec {LOCK_FD}>"$LAB_STATE.lock"
    flock -w 600 "$LOCK_FD" || die "another command holds $LAB_STATE.lock"
}

# Or one on each host, and none on the whole.
host_lock() {
    local file=$LAB_STATE.$1.lock
    exec {LOCK_FD}>"$LAB_STATE.lock" {HOST_FD}>"$file"
    flock -w 600 --shared "$LOCK_FD" || die "another command holds $LAB_STATE.lock"
    flock -w 600 "$HOST_FD" || die "another command holds $file"
}
