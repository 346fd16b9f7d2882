# Runs a stack's script: $1 family, $2 stack, $3 owner's account, $4 text.
# Every process of it has the stack's name in its environment, so that all can be found again.
cd /
umask 022
exec env FAMILY="$1" CONTAINARIUM_STACK="$2" OWNER="$3" HOME=/root LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical NEEDRESTART_MODE=l APT_LISTCHANGES_FRONTEND=none \
    sh -euc "$4" "$2" </dev/null 1>&2
