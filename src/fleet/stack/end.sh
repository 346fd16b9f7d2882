# Ends every process that a stack's script left: $1 is the stack.
left() {
    for process in /proc/[0-9]*; do
        if tr '\0' '\n' <"$process/environ" 2>/dev/null | grep -qxF "CONTAINARIUM_STACK=$1"; then
            echo "${process#/proc/}"
        fi
    done
}
# A package manager needs a moment to leave its files in order.
for signal in TERM 0 0 0 0 0 0 0 0 0 KILL 0; do
    processes=$(left "$1")
    [ -n "$processes" ] || exit 0
    # One that is gone by now is what is wanted.
    kill "-$signal" $processes 2>/dev/null
    sleep 1
done
exit 1
