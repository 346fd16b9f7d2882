# shellcheck shell=bash
# Where this machine gets its packages from, for another suite of its distribution.

# Derives a source for suite OTHER from the configured one for suite SUITE, and
# writes it to FILE.sources or FILE.list, whatever the machine uses.
apt_derive_source() {
    local suite=$1 other=$2 file=$3 dir=/etc/apt/sources.list.d from out
    for from in "$dir"/*.sources; do
        [ -e "$from" ] || continue
        out=$(awk -v suite="$suite" -v other="$other" '
            BEGIN { RS = ""; FS = "\n" }
            {
                n = 0; hit = 0; types = ""
                for (i = 1; i <= NF; i++) {
                    if ($i ~ /^#/) continue
                    line = $i
                    if (line ~ /^[Ss]uites:/) {
                        k = split(line, w, /[ \t]+/)
                        for (j = 2; j <= k; j++) if (w[j] == suite) hit = 1
                        line = "Suites: " other
                    } else if (line ~ /^[Tt]ypes:/) {
                        types = line; line = "Types: deb"
                    } else if (line ~ /^[Ee]nabled:[ \t]*no/) {
                        hit = -9
                    }
                    keep[++n] = line
                }
                if (hit == 1 && types ~ /deb([ \t]|$)/) {
                    for (i = 1; i <= n; i++) print keep[i]
                    exit
                }
            }' "$from")
        if [ -n "$out" ]; then
            printf '%s\n' "$out" >"$file.sources"
            return
        fi
    done
    for from in /etc/apt/sources.list "$dir"/*.list; do
        [ -e "$from" ] || continue
        out=$(sed -nE "s/^(deb[[:space:]]+(\[[^]]*\][[:space:]]+)?[^[:space:]]+[[:space:]]+)${suite}([[:space:]].*)\$/\1${other}\3/p" "$from" |
            head -n 1)
        if [ -n "$out" ]; then
            printf '%s\n' "$out" >"$file.list"
            return
        fi
    done
    return 1
}
