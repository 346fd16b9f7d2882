# Makes sshd trust the CA keys that come on standard input, starts it now and at each boot, waits
# until it listens, and prints its public host keys. Runs as root, without arguments; POSIX sh.
# Repeating it changes nothing.
set -eu
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

fail() {
    echo "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

main=/etc/ssh/sshd_config
part=/etc/ssh/sshd_config.d/10-containarium.conf
line='TrustedUserCAKeys /etc/ssh/containarium_ca.pub'
changed=false

replace() { # FILE: from standard input; true if that changed it
    cat >"$1.new~"
    if cmp -s "$1.new~" "$1" 2>/dev/null; then
        rm -f "$1.new~"
        return 1
    fi
    chmod 644 "$1.new~"
    mv -f "$1.new~" "$1"
}

# The sockets that listen on port 22, by their inodes.
listeners() { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" && $2 ~ /:0016$/ { print $10 }'; }

# Starting over takes a moment in which nobody would be let in: done when it listens anew.
wait_for_listener() { # INODES of before that do not count
    i=0
    while [ $i -lt 400 ]; do
        for inode in $(listeners); do
            case " $1 " in *" $inode "*) ;; *) return 0 ;; esac
        done
        i=$((i + 1))
        sleep 0.05
    done
    fail "its sshd does not listen on port 22"
}

make_keys() {
    ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1 || ssh-keygen -q -N '' -t ed25519 -f /etc/ssh/ssh_host_ed25519_key </dev/null
}

systemd_unit() {
    for unit in ssh sshd; do
        ! systemctl cat "$unit.service" >/dev/null 2>&1 || { echo $unit && return; }
    done
    fail "it has no service for sshd"
}

# Whether an init without services of its own starts sshd. Where its table says so that is waited
# for, lest there be two.
runs_by_itself() {
    i=0
    most=40
    ! grep -q '^[^#]*sshd' /etc/inittab 2>/dev/null || most=600
    until [ -s /run/sshd.pid ] && kill -0 "$(cat /run/sshd.pid)" 2>/dev/null; do
        i=$((i + 1))
        [ $i -lt $most ] || return 1
        sleep 0.05
    done
}

# Starts sshd where it does not run, and makes it read its configuration where it does.
start() {
    before=$(listeners | tr '\n' ' ')
    if [ -d /run/systemd/system ]; then
        unit=$(systemd_unit)
        if systemctl is-enabled -q "$unit.socket" 2>/dev/null; then
            # The socket listens; sshd starts with the first connection.
            systemctl start "$unit.socket"
            ! systemctl is-active -q "$unit.service" || systemctl reload "$unit.service"
            wait_for_listener ''
            return
        fi
        systemctl enable -q "$unit.service" 2>/dev/null || :
        state=$(systemctl is-active "$unit.service" || :)
        # This waits until one that is starting has started, and made its keys.
        systemctl start "$unit.service" 2>/dev/null || { make_keys && systemctl start "$unit.service"; }
        case $state in
        active | activating | reloading)
            [ $changed = true ] || { wait_for_listener '' && return; }
            # Only one that listens by now has something to listen anew.
            wait_for_listener ''
            before=$(listeners | tr '\n' ' ')
            systemctl reload "$unit.service"
            ;;
        esac
    elif has rc-service; then
        rc-update -q add sshd default >/dev/null 2>&1 || :
        if rc-service -q sshd status >/dev/null 2>&1; then
            [ $changed = true ] || return 0
            rc-service -q sshd reload >&2
        else
            rc-service -q sshd start >&2
        fi
    elif runs_by_itself; then
        [ $changed = true ] || return 0
        before=$(listeners | tr '\n' ' ')
        kill -HUP "$(cat /run/sshd.pid)"
    else
        make_keys
        "$(command -v sshd)" || fail "its sshd does not start"
    fi
    wait_for_listener "$before"
}

settings() { "$(command -v sshd)" -T 2>/dev/null || :; }
trusts() { settings | grep -qix "$line"; }

has sshd || fail "it has no sshd"
mkdir -p /etc/ssh/sshd_config.d
# Where sshd starts for each connection nothing else makes it.
[ -d /run/sshd ] || mkdir -p /run/sshd
# The keys are read at each login, the configuration only at the start.
replace /etc/ssh/containarium_ca.pub || :
if echo "$line" | replace "$part"; then changed=true; fi
start
if ! trusts; then
    other=$(settings | awk '$1 == "trustedusercakeys" && $2 != "none" { print $2 }')
    [ -z "$other" ] || fail "its sshd_config has a TrustedUserCAKeys of its own: $other"
    # The configuration does not read its folder: the first value counts.
    cp -p "$main" "$main.new~"
    { echo "$line" && cat "$main"; } >"$main.new~"
    cp -p "$main" "$main.before-containarium"
    mv -f "$main.new~" "$main"
    if ! trusts; then
        mv -f "$main.before-containarium" "$main"
        rm -f "$part"
        fail "its sshd does not take a CA: $("$(command -v sshd)" -t 2>&1 | head -n 1)"
    fi
    changed=true
    start
fi
for key in $(settings | awk '$1 == "hostkey" { print $2 }'); do
    [ ! -s "$key.pub" ] || cut -d' ' -f1,2 "$key.pub"
done
