# In front of each stack's script. FAMILY, OWNER and CONTAINARIUM_STACK are set; standard output and
# standard error are shown to whoever installs it.

# packages NAME...: installs packages of the distribution. A NAME may be alternatives, of which the
# first that the distribution has is taken: 'redis|valkey'. An empty one is nothing: 'pipx|'.
packages() {
    refresh
    chosen=
    for wanted in "$@"; do
        chosen="$chosen $(choose "$wanted")"
    done
    # Names of packages have no blanks.
    [ -z "${chosen# }" ] || add $chosen
}

choose() {
    rest=$1
    while [ -n "$rest" ]; do
        name=${rest%%|*}
        if known "$name"; then
            echo "$name"
            return 0
        fi
        case $rest in
        *'|'*) rest=${rest#*|} ;;
        *)
            echo "this distribution has no package $1" >&2
            return 1
            ;;
        esac
    done
}

# download URL SHA256 FILE: a file of known content.
download() {
    command -v curl >/dev/null || packages curl ca-certificates
    curl --fail --silent --show-error --location --proto =https --retry 3 --output "$3.part" "$1"
    echo "$2  $3.part" | sha256sum -c - >/dev/null || {
        rm -f "$3.part"
        echo "$1 is not what it was"
        return 1
    }
    mv "$3.part" "$3"
}

# member GROUP: the owner becomes a member of a group.
member() {
    if command -v usermod >/dev/null; then usermod -aG "$1" "$OWNER"; else addgroup "$OWNER" "$1"; fi
}

# service NAME: it runs, now and after each start.
service() {
    if command -v systemctl >/dev/null; then
        systemctl enable --now "$1"
    else
        rc-update add "$1" default
        rc-service "$1" start
    fi
}

case $FAMILY in
debian)
    refresh() {
        [ -z "${refreshed:-}" ] || return 0
        # Ends what an interrupted installation left. Unlike apt-get it does not wait for its lock,
        # which updates that run by themselves may hold for minutes.
        tries=0
        until dpkg --configure -a; do
            tries=$((tries + 1))
            [ "$tries" -lt 60 ] || return 1
            sleep 5
        done
        apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update
        refreshed=1
    }
    known() { apt-cache policy "$1" | grep -q '^  Candidate: [^(]'; }
    add() {
        apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
            -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 --no-install-recommends install "$@"
    }
    ;;
rhel)
    refresh() { :; }
    known() { dnf -q list "$1" >/dev/null 2>&1; }
    add() { dnf -q -y --setopt=install_weak_deps=False install "$@"; }
    # epel: packages that the distribution leaves to others.
    epel() {
        rpm -q epel-release >/dev/null 2>&1 || packages epel-release
        ! command -v crb >/dev/null || crb enable
    }
    ;;
alpine)
    refresh() { apk -q update; }
    known() { [ -n "$(apk -q search --exact "$1")" ]; }
    add() { apk --no-progress add "$@"; }
    ;;
esac
