# shellcheck shell=bash
# A backend: a real incusd and a real sshd in a network namespace. Each also
# has a process namespace, whose first process we hold: ending that one ends
# everything on the "host" at once, containers included, as a power cut does.

b_dir() {
    echo "$LAB_DATA/$1"
}

b_incus() {
    local backend=$1
    shift
    INCUS_DIR=$(b_dir "$backend") INCUS_CONF=$LAB_STATE/incus incus "$@"
}

b_holder() {
    proc_pid "$LAB_STATE/$1/holder.pid"
}

b_running() {
    b_holder "$1" >/dev/null &&
        proc_pid "$LAB_STATE/$1/incusd.pid" >/dev/null &&
        proc_pid "$LAB_STATE/$1/sshd.pid" >/dev/null
}

b_incusd_program() {
    local path
    for path in /usr/libexec/incus/incusd /usr/lib/incus/incusd /opt/incus/bin/incusd; do
        [ ! -x "$path" ] || { echo "$path" && return; }
    done
    command -v incusd || die "incusd not found: run tests/lab/install"
}

# Runs as root of the new mount and process namespaces: a /sys that belongs to
# the network namespace, with the cgroups that mounting it anew would hide.
b_mounts() {
    cat <<'SH'
set -e
saved=$1
mount --make-rprivate /
mkdir -p "$saved"
mount --rbind /sys/fs/cgroup "$saved"
umount -R /sys 2>/dev/null || umount -R -l /sys
mount -t sysfs sysfs /sys
mount --rbind "$saved" /sys/fs/cgroup
umount -R -l "$saved"
rmdir "$saved"
mount -t proc proc /proc
: >"$2"
trap : TERM INT HUP
sleep infinity &
while :; do wait || :; done
SH
}

b_hold() {
    local backend=$1 state=$LAB_STATE/$1 ready=$LAB_STATE/$1/held program
    rm -f "$ready"
    program=$(b_mounts)
    # unshare forks; the fork is the first process of the namespace.
    spawn "$state/unshare.pid" "$LAB_STATE/log/$backend-holder.log" \
        nsenter --net="/run/netns/$(netns "$backend")" -- \
        unshare --mount --pid --fork --kill-child -- \
        bash -c "$program" "lab-$backend" "$state/cgroup" "$ready"
    wait_until 10 test -e "$ready" || die "no namespaces for $backend, see $LAB_STATE/log"
    local parent child
    parent=$(proc_pid "$state/unshare.pid") || die "holder of $backend ended"
    child=$(cat "/proc/$parent/task/$parent/children")
    proc_record "${child% }" "$state/holder.pid"
}

# Run a program for good inside a backend's namespaces.
b_spawn() {
    local backend=$1 name=$2 holder
    shift 2
    holder=$(b_holder "$backend") || die "$backend is down"
    # nsenter forks, as only a child is inside the process namespace.
    spawn "$LAB_STATE/$backend/$name.nsenter" "$LAB_STATE/log/$backend-$name.log" \
        nsenter --target "$holder" --mount --net --pid -- "$@"
    local parent child=
    parent=$(proc_pid "$LAB_STATE/$backend/$name.nsenter") || die "$name of $backend ended at once"
    for _ in {1..100}; do
        child=$(cat "/proc/$parent/task/$parent/children" 2>/dev/null) || true
        [ -z "$child" ] || break
        sleep 0.02
    done
    [ -n "$child" ] || die "$name of $backend did not start, see $LAB_STATE/log/$backend-$name.log"
    proc_record "${child%% *}" "$LAB_STATE/$backend/$name.pid"
}

b_ready() {
    b_incus "$1" query /internal/ready >/dev/null 2>&1
}

b_start_incusd() {
    local backend=$1
    mkdir -p "$(b_dir "$backend")"
    b_spawn "$backend" incusd env INCUS_DIR="$(b_dir "$backend")" "$(b_incusd_program)" \
        --group incus-admin
    wait_until 60 b_ready "$backend" || die "incusd of $backend is not ready, see $LAB_STATE/log"
}

b_sshd_config() {
    local backend=$1 dir=$LAB_STATE/$1
    [ -s "$LAB_STATE/keys/$backend" ] ||
        ssh-keygen -q -t ed25519 -N '' -C "$backend" -f "$LAB_STATE/keys/$backend"
    cat >"$dir/sshd_config" <<CONFIG
Port 22
ListenAddress $(backend_address "$backend")
HostKey $LAB_STATE/keys/$backend
PidFile none
AllowUsers $LAB_USER
AuthorizedKeysFile $LAB_STATE/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
MaxStartups 100:30:200
MaxSessions 100
SetEnv INCUS_DIR=$(b_dir "$backend")
Subsystem sftp internal-sftp
CONFIG
}

b_answers() {
    in_ns "$1" bash -c "exec 3<>/dev/tcp/$(backend_address "$1")/22" 2>/dev/null
}

b_start_sshd() {
    local backend=$1
    mkdir -p /run/sshd
    chmod 755 /run/sshd
    b_sshd_config "$backend"
    b_spawn "$backend" sshd "$(command -v sshd)" -D -e -f "$LAB_STATE/$backend/sshd_config"
    wait_until 10 b_answers "$backend" || die "sshd of $backend does not answer, see $LAB_STATE/log"
}

b_preseed() {
    local pool="driver: $LAB_POOL"
    [ "$LAB_POOL" != btrfs ] || pool+=$'\n  config: {size: 20GiB}'
    b_incus "$1" admin init --preseed <<PRESEED
networks:
- name: incusbr0
  type: bridge
  config:
    ipv4.address: 10.0.3.1/24
    ipv4.nat: "true"
    ipv6.address: none
    raw.dnsmasq: no-resolv
storage_pools:
- name: default
  $pool
profiles:
- name: default
  config:
    security.nesting: "true"
  devices:
    root: {type: disk, path: /, pool: default}
    eth0: {type: nic, name: eth0, network: incusbr0}
PRESEED
}

b_import() {
    local image known
    known=$(b_incus "$1" image alias list -f csv -c a)
    for image in debian small bare; do
        [[ $'\n'$known$'\n' == *$'\n'"$image"$'\n'* ]] ||
            b_incus "$1" image import -q "$LAB_CACHE/debian.meta.tar" \
                "$LAB_CACHE/$image.squashfs" --alias "$image" >/dev/null
    done
}

b_up() {
    local backend=$1
    mkdir -p "$LAB_STATE/$backend"
    b_hold "$backend"
    b_start_incusd "$backend"
    b_preseed "$backend"
    b_import "$backend"
    b_start_sshd "$backend"
}

b_loop_free() {
    [ -z "$(losetup --noheadings --output NAME --associated "$(b_dir "$1")/disks/default.img" 2>/dev/null)" ]
}

# Power off: first the cable, so that nobody hears a goodbye, then every process
# at once, then what the kernel remembers of connections.
b_kill() {
    local backend=$1
    in_ns "$backend" ip link set eth0 down 2>/dev/null || true
    b_continue "$backend"
    proc_kill "$LAB_STATE/$backend/holder.pid"
    proc_kill "$LAB_STATE/$backend/unshare.pid"
    in_ns "$backend" ss --kill --tcp state all >/dev/null 2>&1 || true
    in_ns "$backend" conntrack --flush >/dev/null 2>&1 || true
    rm -f "$LAB_STATE/$backend"/*.pid "$LAB_STATE/$backend"/*.nsenter
    wait_until 20 b_loop_free "$backend" || die "the storage of $backend stays busy"
}

# Daemons that somebody halted go on, and so do the nsenters that started them: one whose child was
# halted once may be halted, too, and would bury nobody.
b_continue() {
    local file pid
    for file in "$LAB_STATE/$1"/{incusd,sshd}.{pid,nsenter}; do
        ! pid=$(proc_pid "$file") || kill -CONT "$pid" 2>/dev/null || true
    done
}

# Power on: containers come back as boot.autostart and their last state say.
# On a host that has power, only start the daemon that is missing.
b_revive() {
    local backend=$1 state=$LAB_STATE/$1
    if b_holder "$backend" >/dev/null; then
        b_continue "$backend"
        proc_pid "$state/incusd.pid" >/dev/null || b_start_incusd "$backend"
        proc_pid "$state/sshd.pid" >/dev/null || b_start_sshd "$backend"
        return
    fi
    b_kill "$backend"
    # What a machine that starts does not have: yesterday's bridge.
    in_ns "$backend" ip link del incusbr0 2>/dev/null || true
    in_ns "$backend" nft flush ruleset 2>/dev/null || true
    backend_link_up "$backend"
    b_hold "$backend"
    b_start_incusd "$backend"
    b_start_sshd "$backend"
}

b_down() {
    b_kill "$1"
    rm -rf --one-file-system "$(b_dir "$1")" "${LAB_STATE:?}/$1"
}
