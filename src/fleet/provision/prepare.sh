# Installs what a container lacks to be logged in to: sshd, sudo, the tools for accounts. Runs as
# root, without arguments; POSIX sh. With nothing to do it takes milliseconds. What it says on
# standard error is for people.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

has() { command -v "$1" >/dev/null 2>&1; }

apt_missing() {
    has sshd || echo openssh-server
    has sudo || echo sudo
    has useradd || echo passwd
}
dnf_missing() {
    has sshd || echo openssh-server
    has sudo || echo sudo
    has useradd || echo shadow-utils
    has runuser || echo util-linux
}
apk_missing() {
    has sshd || echo openssh
    has sudo || echo sudo
}

# Services are started by the system, so it has to be there: an early command comes before it.
wait_for_system() {
    case $(readlink /proc/1/exe) in */systemd) ;; *) return 0 ;; esac
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        ! systemctl show --property=Version >/dev/null 2>&1 || return 0
        sleep 0.5
    done
    echo "its init does not answer" >&2
    exit 1
}

# Mirrors fail now and then, and a timer of the distribution may hold the lock.
repeat() {
    "$@" || { sleep 2 && "$@"; } || { sleep 5 && "$@"; }
}

if has sshd && has sudo && { has useradd || has adduser; }; then
    exit 0
elif has apt-get; then
    wait_for_system
    export DEBIAN_FRONTEND=noninteractive
    apt() { apt-get -q -o DPkg::Lock::Timeout=120 "$@" >&2; }
    repeat apt update
    # shellcheck disable=SC2046
    repeat apt -y --no-install-recommends -o Dpkg::Options::=--force-confold install $(apt_missing)
elif has dnf || has microdnf; then
    wait_for_system
    dnf=dnf
    has dnf || dnf=microdnf
    dnf() { command $dnf -y "$@" >&2; }
    # shellcheck disable=SC2046
    repeat dnf install $(dnf_missing)
elif has apk; then
    apk() { command apk --no-cache "$@" >&2; }
    # shellcheck disable=SC2046
    repeat apk add $(apk_missing)
else
    echo "it lacks sshd or sudo, and has none of apt, dnf and apk to install them" >&2
    exit 1
fi
if ! has sshd || ! has sudo; then
    echo "its packages brought no sshd or no sudo" >&2
    exit 1
fi
