# shellcheck shell=bash
# Containers for tests, made ready for the sentinel by contrib/adopt.

# Prints the container's address once it has one and its sshd listens.
# shellcheck disable=SC2016
CONTAINER_READY='
i=0
while [ $i -lt 600 ]; do
    a=$(ip -4 -o address show dev eth0 scope global 2>/dev/null)
    if [ -n "$a" ] && grep -q ":0016 .* 0A " /proc/net/tcp && test -s /etc/ssh/ssh_host_ed25519_key.pub; then
        a=${a#*inet }
        echo "${a%%/*}"
        exit 0
    fi
    i=$((i + 1))
    sleep 0.05
done
exit 1'

lab_container() {
    [ $# -ge 4 ] || usage
    local backend=$1 instance=$2-container owner=$3 status key
    shift 3
    local -a more options=(--owner "$owner")
    for key in "$@"; do options+=(--ssh-key "$key"); done
    [ -z "${LAB_CA:-}" ] || options+=(--ca "$LAB_CA")
    if [ -n "${LAB_ADOPT:-}" ]; then
        read -ra more <<<"$LAB_ADOPT"
        options+=("${more[@]}")
    fi

    is_backend "$backend" || die "no backend $backend"
    b_running "$backend" || die "$backend is down"
    status=$(b_incus "$backend" list "^$instance\$" -f csv -c s)
    case $status in
    RUNNING) ;;
    STOPPED) b_incus "$backend" start "$instance" ;;
    '') b_incus "$backend" launch -q debian "$instance" </dev/null >/dev/null ;;
    *) die "$instance is $status" ;;
    esac
    # an exec can come too early: the first process is there, the system is not
    wait_until 10 b_incus "$backend" exec "$instance" -T -- true </dev/null 2>/dev/null ||
        die "$instance does not run commands"
    b_incus "$backend" exec "$instance" -T -- sh -c "$CONTAINER_READY" </dev/null ||
        die "$instance: no address or no sshd"
    INCUS_DIR=$(b_dir "$backend") INCUS_CONF=$LAB_STATE/incus \
        "$LAB_CHECKOUT/contrib/adopt" "$instance" "${options[@]}"
}
