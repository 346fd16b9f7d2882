# A team's first day, as an administrator and two developers type it: told to the shared sentinel
# over SSH alone. Each step prints what the test expects, or ends the script.
set -euo pipefail

admin() { ssh -F "$CFG" sentinel "$@" </dev/null; }
fail() { echo "failed: $*"; exit 1; }
json() { python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

# Keys are made on the developers' machines; only the public halves travel.
for person in tilda theo tara; do ssh-keygen -q -t ed25519 -N '' -C "$person@laptop" -f "$TMP/$person"; done
as() { # PERSON LOGIN COMMAND...
    local person=$1 login=$2
    shift 2
    ssh -F "$CFG" -i "$TMP/$person" -l "$login" "$DOOR" "$@" </dev/null
}

# create: the last line is the one to type
for person in tilda theo; do
    made=$(ssh -F "$CFG" sentinel create "$person" --ssh-key - --image small --backend b1 \
        --memory 1GB --disk 2GB <"$TMP/$person.pub" 2>"$TMP/steps")
    [ "$(tail -n 1 <<<"$made")" = "ssh $person@$DOOR" ] || fail "last line: $made"
    grep -q '^\[1/7\] ' "$TMP/steps" && grep -q '^\[7/7\] ' "$TMP/steps" || fail "steps: $(cat "$TMP/steps")"
    echo "$person is $(as "$person" "$person" id -un), root by $(as "$person" "$person" sudo -n id -un)"
done
admin create tilda --ssh-key "$(cat "$TMP/tilda.pub")" && fail "a name was given twice" || echo "again: $?"

# list and info
admin list | grep -Eq '^tilda +tilda +running +b1 +10\.0\.3\.[0-9]+ .*1GB +2GB$' || fail "list: $(admin list)"
echo "listed: $(admin list -q | grep -cE '^(tilda|theo)$')"
info=$(admin info tilda --json)
echo "info: $(json 'd["state"], d["backend"], d["owner"], d["memory"], d["disk"]' <<<"$info")"
admin info tilda | grep -q '^Uptime: ' || fail "info: $(admin info tilda)"

# resize, live: all three seen inside
admin resize tilda --cpu 1 --memory 512MiB --disk 3GB >/dev/null 2>&1
for _ in $(seq 100); do [ "$(as tilda tilda nproc)" = 1 ] && break; sleep 0.1; done
echo "inside: $(as tilda tilda nproc) cpu, $(as tilda tilda awk "'/^MemTotal/ { print \$2 }'" /proc/meminfo) kB"

# collaborators: each permission exactly
collaborator() { # PERSON FLAGS...
    ssh -F "$CFG" sentinel collaborator add tilda "$1" --ssh-key - "${@:2}" <"$TMP/$1.pub" >/dev/null 2>&1
}
may() { as tara tilda+tara "$@" >/dev/null 2>&1 && echo yes || echo no; }
collaborator tara
echo "default: root $(may sudo -n id), owner $(as tara tilda+tara 'echo id -un | sudo -n su - tilda'), docker $(may 'id -nG | grep -qw docker')"
collaborator tara --sudo
echo "sudo: root $(may sudo -n id), docker $(may 'id -nG | grep -qw docker')"
collaborator tara --container-runtime
echo "runtime: root $(may sudo -n id), docker $(may 'id -nG | grep -qw docker'), podman $(may 'id -nG | grep -qw podman')"
echo "short: $(as tara tara id -un)"
admin collaborator remove tilda tara >/dev/null 2>&1
echo "removed: $(may true)"

# export: the file alone leads in, by both forms
export HOME=$TMP/home
mkdir -p "$HOME/.ssh"
admin export tilda --key "$TMP/tilda" | sed "s:~/:$HOME/:g" >"$TMP/exported"
for form in tilda tilda-jump; do
    echo "$form: $(ssh -F "$TMP/exported" -o BatchMode=yes -o ControlMaster=no "$form" hostname </dev/null)"
done

# delete: gone, and the name is free again at once
admin delete tilda --force >/dev/null 2>&1
as tilda tilda true 2>/dev/null && fail "deleted, and entered" || echo "deleted: $?"
ssh -F "$CFG" sentinel create tilda --ssh-key - --image small --backend b1 <"$TMP/tilda.pub" >/dev/null 2>&1
echo "new: $(as tilda tilda 'ls -A ~ | grep -v ssh | wc -l') files"
admin delete tilda --force >/dev/null 2>&1
admin delete theo --force >/dev/null 2>&1
echo "left: $(admin list -q | grep -cE '^(tilda|theo)$' || true)"
