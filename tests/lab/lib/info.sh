# shellcheck shell=bash
# What a lab is made of, for tests (shell variables, JSON) and for people.

host_key() {
    cut -d ' ' -f 1,2 "$LAB_STATE/keys/$1.pub"
}

sentinel_address() {
    if [ "$LAB_ROOT_SENTINEL" = 1 ]; then subnet_address 1; else echo "$LAB_SENTINEL_ADDRESS"; fi
}

print_variable() {
    printf '%s=%q\n' "$1" "$2"
}

lab_env() {
    local backend prefix
    print_variable LAB "$LAB_STATE"
    print_variable LAB_NAME "$LAB_NAME"
    print_variable LAB_BACKENDS "$LAB_BACKENDS"
    print_variable LAB_JSON "$LAB_STATE/lab.json"
    print_variable LAB_USER "$LAB_USER"
    print_variable LAB_LINK_KEY "$LAB_STATE/link"
    print_variable LAB_AUTHORIZED_KEYS "$LAB_STATE/authorized_keys"
    print_variable LAB_SENTINEL_ADDRESS "$(sentinel_address)"
    print_variable LAB_GATEWAY "$(subnet_address 1)"
    if [ "$LAB_ROOT_SENTINEL" != 1 ]; then
        print_variable LAB_SENTINEL_NETNS "/run/netns/$(netns sentinel)"
        print_variable LAB_CLIENT_NETNS "/run/netns/$(netns client)"
        print_variable LAB_CLIENT_ADDRESS 192.0.2.10
        print_variable LAB_CLIENT_ADDRESSES "$(echo 192.0.2.1{0..9})"
        print_variable LAB_CLIENT_GATEWAY "$LAB_CLIENT_GATEWAY"
    fi
    for backend in $LAB_BACKENDS; do
        prefix=${backend^^}
        prefix=LAB_${prefix//-/_}
        print_variable "${prefix}_NETNS" "/run/netns/$(netns "$backend")"
        print_variable "${prefix}_ADDRESS" "$(backend_address "$backend")"
        print_variable "${prefix}_HOST_KEY" "$(host_key "$backend")"
        print_variable "${prefix}_INCUS_DIR" "$(b_dir "$backend")"
        print_variable "${prefix}_INCUS_SOCKET" "$(b_dir "$backend")/unix.socket"
        print_variable "${prefix}_INCUSD_PID" "$(proc_pid "$LAB_STATE/$backend/incusd.pid")"
        print_variable "${prefix}_SSHD_PID" "$(proc_pid "$LAB_STATE/$backend/sshd.pid")"
    done
}

# Every value is free of quotes and backslashes, so quoting it is enough.
lab_json() {
    local backend separator=''
    printf '{"name": "%s", "state": "%s", "user": "%s",\n' "$LAB_NAME" "$LAB_STATE" "$LAB_USER"
    printf ' "link_key": "%s", "authorized_keys": "%s",\n' "$LAB_STATE/link" "$LAB_STATE/authorized_keys"
    if [ "$LAB_ROOT_SENTINEL" = 1 ]; then
        printf ' "client": null,\n "sentinel": {"netns": null, "address": "%s", "gateway": "%s"},\n' \
            "$(sentinel_address)" "$(subnet_address 1)"
    else
        printf ' "client": {"netns": "/run/netns/%s", "gateway": "%s", "addresses": [%s]},\n' \
            "$(netns client)" "$LAB_CLIENT_GATEWAY" \
            "$(printf '"192.0.2.1%s", ' {0..8})\"192.0.2.19\""
        printf ' "sentinel": {"netns": "/run/netns/%s", "address": "%s", "gateway": "%s"},\n' \
            "$(netns sentinel)" "$(sentinel_address)" "$(subnet_address 1)"
    fi
    printf ' "backends": ['
    for backend in $LAB_BACKENDS; do
        printf '%s\n  {"name": "%s", "netns": "/run/netns/%s", "address": "%s", "port": 22,\n' \
            "$separator" "$backend" "$(netns "$backend")" "$(backend_address "$backend")"
        printf '   "host_key": "%s",\n   "incus_dir": "%s", "incus_socket": "%s",\n' \
            "$(host_key "$backend")" "$(b_dir "$backend")" "$(b_dir "$backend")/unix.socket"
        printf '   "incusd_pid_file": "%s", "sshd_pid_file": "%s"}' \
            "$LAB_STATE/$backend/incusd.pid" "$LAB_STATE/$backend/sshd.pid"
        separator=,
    done
    printf '\n ]}\n'
}

lab_status() {
    local backend
    printf '%-10s %-8s %-16s %-8s %-8s %s\n' HOST STATE ADDRESS INCUSD SSHD CONTAINERS
    if [ "$LAB_ROOT_SENTINEL" = 1 ]; then
        printf '%-10s %-8s %s\n' sentinel "this" "$(sentinel_address)"
    else
        printf '%-10s %-8s %s\n' client "$(netns_works client && echo up || echo down)" 192.0.2.10
        printf '%-10s %-8s %s\n' sentinel "$(netns_works sentinel && echo up || echo down)" "$(sentinel_address)"
    fi
    for backend in $LAB_BACKENDS; do
        printf '%-10s %-8s %-16s %-8s %-8s %s\n' "$backend" \
            "$(b_running "$backend" && echo up || echo down)" \
            "$(backend_address "$backend")" \
            "$(proc_pid "$LAB_STATE/$backend/incusd.pid" || echo -)" \
            "$(proc_pid "$LAB_STATE/$backend/sshd.pid" || echo -)" \
            "$(! b_running "$backend" || b_incus "$backend" list -f csv -c ns 2>/dev/null | paste -sd ' ')"
    done
}
