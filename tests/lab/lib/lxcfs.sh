# shellcheck shell=bash
# lxcfs shows containers their own limits in /proc. One serves the machine.

LXCFS_MOUNT=/var/lib/lxcfs
LXCFS_PID=/run/containarium-lxcfs.pid

lxcfs_works() {
    mountpoint -q "$LXCFS_MOUNT" && [ -r "$LXCFS_MOUNT/proc/uptime" ]
}

lxcfs_up() {
    ! lxcfs_works || return 0
    local lock
    exec {lock}>"$LXCFS_PID.lock"
    flock "$lock"
    if ! lxcfs_works; then
        umount -l "$LXCFS_MOUNT" 2>/dev/null || true
        mkdir -p "$LXCFS_MOUNT"
        spawn "$LXCFS_PID" "$LAB_STATE/log/lxcfs.log" lxcfs "$LXCFS_MOUNT"
        wait_until 10 lxcfs_works || die "lxcfs does not start, see $LAB_STATE/log/lxcfs.log"
    fi
    exec {lock}>&-
}

any_lab_runs() {
    local file
    for file in /run/containarium-*/*/holder.pid; do
        ! proc_pid "$file" >/dev/null || return 0
    done
    return 1
}

# Stops the one that a lab started, once no lab has a running backend.
lxcfs_down() {
    local pid
    ! any_lab_runs || return 0
    pid=$(proc_pid "$LXCFS_PID") || return 0
    kill -TERM "$pid"
    wait_until 10 proc_gone "$LXCFS_PID" || say "lxcfs ($pid) does not end"
    rm -f "$LXCFS_PID"
}

# A container that is killed leaves its control groups behind, empty. Those of
# a running container cannot be removed, but one that is starting might suffer.
cgroups_tidy() {
    ! any_lab_runs || return 0
    find /sys/fs/cgroup -depth -type d -path '*/lxc.[mp]*-container*' \
        -exec rmdir --ignore-fail-on-non-empty {} + 2>/dev/null || true
}
