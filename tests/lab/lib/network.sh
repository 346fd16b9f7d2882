# shellcheck shell=bash
# Hosts are network namespaces. Link ends are created where they belong, so
# their names cannot clash with those of another lab or of this machine.

netns() {
    echo "$LAB_NAME-$1"
}

netns_works() {
    nsenter --net="/run/netns/$(netns "$1")" true 2>/dev/null
}

netns_add() {
    netns_del "$1"
    ip netns add "$(netns "$1")"
    in_ns "$1" ip link set lo up
}

# After a restart of the machine the name may be there without a namespace.
netns_del() {
    local file
    file=/run/netns/$(netns "$1")
    [ -e "$file" ] || return 0
    umount -l "$file" 2>/dev/null || true
    rm -f "$file"
}

# in_ns HOST COMMAND...: the sentinel of a root lab is this machine itself.
in_ns() {
    local host=$1
    shift
    if [ "$host" = sentinel ] && [ "$LAB_ROOT_SENTINEL" = 1 ]; then
        "$@"
    else
        nsenter --net="/run/netns/$(netns "$host")" -- "$@"
    fi
}

# Address N of the backends' subnet.
subnet_address() {
    local base=${LAB_SUBNET%/*}
    echo "${base%.*}.$((${base##*.} + $1))"
}

backend_address() {
    local name n=11
    for name in $LAB_BACKENDS; do
        [ "$name" != "$1" ] || break
        n=$((n + 1))
    done
    subnet_address "$n"
}

network_up() {
    local prefix=${LAB_SUBNET#*/} gateway bridge=hosts backend n=0 port
    gateway=$(subnet_address 1)
    if [ "$LAB_ROOT_SENTINEL" = 1 ]; then
        bridge=$LAB_NAME-hosts
    else
        netns_add sentinel
        netns_add client
        in_ns sentinel sysctl -qw net.ipv4.ip_forward=1
        in_ns sentinel ip address add "$LAB_SENTINEL_ADDRESS/32" dev lo
        in_ns sentinel ip link add clients type veth peer name eth0 netns "$(netns client)"
        in_ns sentinel ip address add "$LAB_CLIENT_GATEWAY/24" dev clients
        in_ns sentinel ip link set clients up
        for n in 10 11 12 13 14 15 16 17 18 19; do
            in_ns client ip address add "192.0.2.$n/24" dev eth0
        done
        in_ns client ip link set eth0 up
        # The only way out of the client is the sentinel's own address.
        in_ns client ip route add "$LAB_SENTINEL_ADDRESS/32" via "$LAB_CLIENT_GATEWAY"
    fi

    in_ns sentinel ip link add "$bridge" type bridge
    in_ns sentinel ip address add "$gateway/$prefix" dev "$bridge"
    in_ns sentinel ip link set "$bridge" up
    n=0
    for backend in $LAB_BACKENDS; do
        n=$((n + 1))
        port=$LAB_NAME-h$n
        netns_add "$backend"
        in_ns sentinel ip link add "$port" type veth peer name eth0 netns "$(netns "$backend")"
        in_ns sentinel ip link set "$port" master "$bridge" up
        in_ns "$backend" ip address add "$(backend_address "$backend")/$prefix" dev eth0
        backend_link_up "$backend"
    done
}

# A link that goes down takes its routes with it.
backend_link_up() {
    in_ns "$1" ip link set eth0 up
    in_ns "$1" ip route replace default via "$(subnet_address 1)"
}

network_down() {
    local host n=0
    for host in $LAB_BACKENDS; do
        n=$((n + 1))
        if [ "$LAB_ROOT_SENTINEL" = 1 ]; then
            ip link del "$LAB_NAME-h$n" 2>/dev/null || true
        fi
        netns_del "$host"
    done
    if [ "$LAB_ROOT_SENTINEL" = 1 ]; then
        ip link del "$LAB_NAME-hosts" 2>/dev/null || true
    else
        netns_del client
        netns_del sentinel
    fi
}
