# Prints files: each as its bytes in base64, a space and its path. Standard input tells which, line by
# line: "caddy" and the folder of its store, or "files" and paths. No single quotes in this text.
LC_ALL=C
give() {
    text=$(head -c 65537 "$1") || return 1
    printf "%s %s\n" "$(printf "%s\n" "$text" | base64 | tr -d "\n")" "$1"
}
status=0
IFS= read -r kind
if [ "$kind" = caddy ]; then
    IFS= read -r store
    ls "$store/certificates" >/dev/null || exit 1
    count=0
    for file in "$store"/certificates/*/*/*.crt; do
        [ -e "$file" ] && [ "$count" -lt 64 ] || continue
        count=$((count + 1))
        give "$file" && give "${file%.crt}.key" || status=1
    done
else
    while IFS= read -r file; do
        give "$file" || status=1
    done
fi
exit "$status"
