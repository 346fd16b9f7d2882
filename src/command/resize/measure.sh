# Prints what this container uses: "memory TOTAL AVAILABLE" and, when $1 is disk, "disk HELD DELETED";
# in KiB.
awk '/^MemTotal:/ { total = $2 } /^MemAvailable:/ { available = $2 }
     END { print "memory", total + 0, available + 0 }' /proc/meminfo
[ "$1" = disk ] || exit 0
# What vanishes while it is counted is no failure.
held=$(du -sxk / 2>/dev/null | cut -f1)
# Files that are deleted and still open take room, too. A descriptor may be a directory: / even.
device=$(stat -c %d /)
deleted=$(find -L /proc/[0-9]*/fd -maxdepth 1 -type f -links 0 -exec stat -L -c '%d %i %b' {} + 2>/dev/null |
    sort -u | awk -v device="$device" '$1 == device { blocks += $3 } END { printf "%d", blocks / 2 }')
echo "disk ${held:-0} ${deleted:-0}"
