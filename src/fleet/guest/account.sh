# Accounts inside a container. Runs as root; POSIX sh with either the shadow tools or busybox.
#
#   ensure LOGIN owner|sudo|become OWNER true|false   the account and what it may, then its keys
#   keys LOGIN                                        its keys only
#   lock LOGIN known|ours                             ends its access; its files stay. "ours": only
#                                                     if "ensure" made it, and it is not locked yet
#
# Standard input of the first two: lines "add BLOB LINE" and "remove BLOB". LOGIN and OWNER match
# [a-z][a-z0-9-]*. Exit status: 0 done, 1 failed, 3 the account is one of the system, 4 there is no
# such account; the last line on standard error says what failed.
set -eu
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

fail() {
    echo "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
entry_of() { getent "$1" "$2" 2>/dev/null || grep "^$2:" "/etc/$1"; }

# People have numbers from 1000 (login.defs(5)); 65534 is nobody.
of_people() { [ "$1" -ge 1000 ] && [ "$1" -lt 60000 ]; }

refuse_system() {
    case $login in
    # These may be made later, with the rights that everybody expects of them.
    root | sudo | wheel | admin | docker | podman | incus | lxd | nobody) exit 3 ;;
    esac
    if entry=$(entry_of passwd "$login"); then
        uid=$(echo "$entry" | cut -d: -f3)
        home=$(echo "$entry" | cut -d: -f6)
        shell=$(echo "$entry" | cut -d: -f7)
        of_people "$uid" || exit 3
        return 0
    fi
    uid=
    # A group of that name would become the account's own, with all that it may.
    if entry=$(entry_of group "$login"); then
        of_people "$(echo "$entry" | cut -d: -f3)" || exit 3
    fi
}

need_account() {
    refuse_system
    [ -n "$uid" ] || exit 4
}

# The field of a colon-separated file, for systems without usermod.
set_field() { # FILE NUMBER VALUE
    [ -f "$1" ] || return 0
    cp -p "$1" "$1.new~"
    awk -F: -v OFS=: -v who="$login" -v n="$2" -v to="$3" '$1 == who { $n = to } { print }' "$1" >"$1.new~"
    mv -f "$1.new~" "$1"
}

# With the ! of a locked account some sshd refuse keys, too.
unlock_password() {
    case $(entry_of shadow "$login" | cut -d: -f2) in
    '!' | '!!') # There never was a password: * is none, either.
        if has usermod; then usermod --password '*' "$login"; else set_field /etc/shadow 2 '*'; fi
        ;;
    '!'*) echo "somebody locked the password of $login: some sshd refuse keys then (passwd -u $login)" >&2 ;;
    esac
}

make_account() {
    refuse_system
    usual=/bin/sh
    [ ! -x /bin/bash ] || usual=/bin/bash
    if [ -n "$uid" ]; then
        # It may have been locked.
        case $shell in
        */nologin | */false) wanted=$usual ;;
        *) wanted=$shell ;;
        esac
        if has usermod; then
            said=$(usermod --expiredate '' --shell "$wanted" "$login" 2>&1) || fail "cannot unlock $login: $said"
        else
            set_field /etc/passwd 7 "$wanted"
            set_field /etc/shadow 8 ''
        fi
        unlock_password
        return 0
    fi
    group=--user-group
    [ -z "$entry" ] || group="--gid=$login"
    if has useradd; then
        useradd --create-home "$group" --shell "$usual" --password '*' "$login" >&2 || fail "cannot make the account $login"
    else
        adduser -D -s "$usual" "$login" >&2 || fail "cannot make the account $login"
        set_field /etc/shadow 2 '*'
    fi
    need_account
}

is_member() { id -Gn "$login" | tr ' ' '\n' | grep -qx "$1"; }

join() {
    entry_of group "$1" >/dev/null || if has groupadd; then groupadd --system "$1"; else addgroup -S "$1"; fi
    is_member "$1" || if has usermod; then usermod --append --groups "$1" "$login"; else addgroup "$login" "$1"; fi
}

leave() {
    is_member "$1" || return 0
    if has gpasswd; then gpasswd --delete "$login" "$1" >/dev/null; else delgroup "$login" "$1"; fi
    ! is_member "$1" || fail "$1 is the own group of $login"
}

sudoers=/etc/sudoers.d/containarium-

# Names that end in ~ are not read by sudo.
allow() { # the lines come on standard input
    mkdir -p /etc/sudoers.d
    cat >"$sudoers$login.new~"
    chmod 440 "$sudoers$login.new~"
    if has visudo && ! visudo -cqf "$sudoers$login.new~" >/dev/null 2>&1; then
        rm -f "$sudoers$login.new~"
        return 1
    fi
    mv -f "$sudoers$login.new~" "$sudoers$login"
}

set_rights() { # owner|sudo|become OWNER
    has sudo || echo "the container has no sudo" >&2
    if [ "$1" != become ]; then
        echo "$login ALL=(ALL:ALL) NOPASSWD:ALL" | allow || fail "sudo does not take the rights of $login"
        return 0
    fi
    for group in sudo wheel admin; do leave $group; done
    become="$login ALL=(root) NOPASSWD: /bin/su - $2, /usr/bin/su - $2"
    printf 'Defaults:%s log_output, use_pty\n%s\n' "$login" "$become" | allow && return 0
    echo "this sudo cannot log sessions: those of $login as $2 are not logged" >&2
    echo "$become" | allow || fail "sudo does not take the rights of $login"
}

# What an account owns is written as that account: links that it laid lead nowhere else.
as_account() { # TEXT: with its home as HOME
    cd /
    if has runuser; then
        HOME=$home runuser -u "$login" -- sh -c "$1"
    else
        HOME=$home su -s /bin/sh -c "$1" "$login"
    fi
}

# shellcheck disable=SC2016
KEYS='
set -eu
umask 077
cd "$HOME" || exit 1
file=.ssh/authorized_keys
fail() { echo "$HOME/$file: $*" >&2; exit 1; }
mkdir -p .ssh
chmod 700 .ssh
[ ! -L "$file" ] || fail "it is a link, which sshd may follow elsewhere"
if [ -e "$file" ]; then
    [ -f "$file" ] || fail "it is no file"
    # What the sentinel reads of it, too.
    [ "$(wc -c <"$file")" -le 65536 ] || fail "it is larger than 64 KiB"
else
    : >>"$file"
fi
rm -f "$file.new~"
set -C
awk '\''
    reading { blob = $2 }
    reading && $1 == "remove" { gone[blob] = 1; next }
    reading && $1 == "add" { if (!(blob in new)) order[++n] = blob; new[blob] = substr($0, 6 + length(blob)); next }
    reading { next }
    {
        found = ""
        line = $0
        sub(/\r$/, "", line)
        count = split(line, word, /[ \t]+/)
        if (line !~ /^[ \t]*#/) for (i = 2; i <= count && found == ""; i++)
            if (word[i - 1] ~ /^(ssh|ecdsa|sk)-/ && (word[i] in gone || word[i] in new)) found = word[i]
        if (found == "") print
        else if (found in new && !(found in done)) { print new[found]; done[found] = 1 }
    }
    END { for (i = 1; i <= n; i++) if (!(order[i] in done)) print new[order[i]] }
'\'' reading=1 - reading= "$file" >"$file.new~"
[ "$(wc -c <"$file.new~")" -le 65536 ] || { rm -f "$file.new~"; fail "it would be larger than 64 KiB"; }
chmod 600 "$file.new~"
mv -f "$file.new~" "$file"
'

set_keys() { as_account "$KEYS"; }

# Its processes, what came of them under other numbers (sudo, su), and what people's accounts run
# that began with its login, also when its parent is gone.
processes() {
    logins=$(grep -lsx "$uid" /proc/[0-9]*/loginuid | tr '\n' ' ')
    cat /proc/[0-9]*/status 2>/dev/null | awk -v uid="$uid" -v logins="$logins" '
        BEGIN {
            n = split(logins, files, " ")
            for (i = 1; i <= n; i++) { split(files[i], part, "/"); began[part[3]] = 1 }
        }
        $1 == "Pid:" { pid = $2 }
        $1 == "PPid:" { parent[pid] = $2 }
        $1 == "Uid:" && ($2 == uid || $3 == uid || $4 == uid) { hers[pid] = 1 }
        $1 == "Uid:" && $2 >= 1000 && $2 < 60000 && (pid in began) { hers[pid] = 1 }
        END {
            do {
                more = 0
                for (p in parent) if (!(p in hers) && parent[p] in hers) { hers[p] = 1; more = 1 }
            } while (more)
            for (p in hers) print p
        }'
}

mark=/var/lib/containarium/account-

lock_account() {
    rm -f "$sudoers$login"
    for group in $(id -Gn "$login"); do
        [ "$group" = "$(id -gn "$login")" ] || leave "$group"
    done
    never=/bin/false
    for file in /sbin/nologin /usr/sbin/nologin; do [ ! -x $file ] || never=$file; done
    if has usermod; then
        # Day 1: sshd and PAM refuse whatever else is right.
        usermod --expiredate 1 --shell $never --password '*' "$login" >&2 || fail "cannot lock the account $login"
    else
        set_field /etc/passwd 7 $never
        set_field /etc/shadow 2 '*'
        set_field /etc/shadow 8 1
    fi
    rm -f "/var/lib/systemd/linger/$login"
    # What starts others while it is ended is met in a later round.
    for round in 1 2 3 4 5 6 7 8 9 10; do
        found=$(processes)
        if [ -z "$found" ]; then
            rm -f "$mark$login"
            return 0
        fi
        for pid in $found; do kill -KILL "$pid" 2>/dev/null || :; done
        [ $round -lt 3 ] || sleep 0.1
    done
    fail "processes of $login go on"
}

login=$2
case $1 in
ensure)
    make_account
    mkdir -p "${mark%/*}"
    : >"$mark$login"
    set_rights "$3" "$4"
    for group in docker podman; do
        if [ "$5" = true ]; then join $group; elif [ "$3" != owner ]; then leave $group; fi
    done
    set_keys
    ;;
keys)
    need_account
    set_keys
    ;;
lock)
    need_account
    [ "$3" = known ] || [ -e "$mark$login" ] || exit 4
    lock_account
    ;;
*) fail "no such order" ;;
esac
