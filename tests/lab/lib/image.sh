# shellcheck shell=bash
# The container image: a small Debian (or Ubuntu, whatever the machine is),
# built once with debootstrap from the machine's own mirror, kept in the cache
# as a squashfs and a metadata tarball.

IMAGE_PACKAGES=systemd-sysv,openssh-server,openssh-sftp-server,sudo,iproute2,ifupdown,isc-dhcp-client,procps,rsync,git,netcat-openbsd,socat,xauth,python3-minimal

# Changes when the recipe does, so that a stale cache is rebuilt.
image_version() {
    sha256sum <"$LAB_LIB/image.sh" | cut -c1-16
}

image_is_cached() {
    [ -s "$LAB_CACHE/debian.squashfs" ] && [ -s "$LAB_CACHE/debian.meta.tar" ] &&
        [ "$(cat "$LAB_CACHE/debian.version" 2>/dev/null)" = "$(image_version)" ]
}

image_build() {
    mkdir -p "$LAB_CACHE"
    local lock tmp start=$SECONDS
    exec {lock}>"$LAB_CACHE/lock"
    flock "$lock"
    if ! image_is_cached; then
        say "building the image (once; about a minute)"
        rm -rf --one-file-system "$LAB_CACHE"/build.*
        tmp=$(mktemp -d "$LAB_CACHE/build.XXXXXX")
        image_rootfs "$tmp/rootfs" >"$LAB_CACHE/build.log" 2>&1 ||
            die "debootstrap failed, see $LAB_CACHE/build.log"
        image_configure "$tmp/rootfs"
        image_prune "$tmp/rootfs"
        image_metadata "$tmp"
        tar --numeric-owner -C "$tmp" -cf "$tmp/debian.meta.tar" metadata.yaml templates
        mksquashfs "$tmp/rootfs" "$tmp/debian.squashfs" -noappend -quiet -no-progress \
            -comp zstd -Xcompression-level 3 >>"$LAB_CACHE/build.log" 2>&1 ||
            die "mksquashfs failed, see $LAB_CACHE/build.log"
        rm -f "$LAB_CACHE/debian.version"
        mv "$tmp/debian.meta.tar" "$tmp/debian.squashfs" "$LAB_CACHE/"
        image_version >"$LAB_CACHE/debian.version"
        rm -rf --one-file-system "$tmp"
        say "image built in $((SECONDS - start)) s"
    fi
    exec {lock}>&-
}

# The mirror and components that apt uses for this release.
image_source() {
    local suite=$1
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$suite" '
            $2 == suite { site = $1; if (!($3 in c)) { c[$3] = 1; list = list (list ? "," : "") $3 } }
            END { if (site) print site, list }'
}

image_rootfs() {
    local rootfs=$1 suite mirror components
    # shellcheck disable=SC1091
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    read -r mirror components < <(image_source "$suite") || true
    [ -n "${mirror:-}" ] || return 1
    debootstrap --variant=minbase --components="$components" \
        --include="$IMAGE_PACKAGES" "$suite" "$rootfs" "$mirror"
}

image_configure() {
    local etc=$1/etc unit
    printf 'auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n' \
        >"$etc/network/interfaces"
    rm -f "$etc/resolv.conf"
    echo 'nameserver 10.0.3.1' >"$etc/resolv.conf"
    : >"$etc/machine-id"
    echo 'LANG=C.UTF-8' >"$etc/default/locale"
    rm -f "$etc"/ssh/ssh_host_*

    # One host key, made at the first start: RSA keys take a second.
    mkdir -p "$etc/ssh/sshd_config.d" "$etc/systemd/system/ssh.service.d"
    echo 'HostKey /etc/ssh/ssh_host_ed25519_key' >"$etc/ssh/sshd_config.d/20-host-key.conf"
    cat >"$etc/systemd/system/ssh.service.d/host-key.conf" <<'UNIT'
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'test -s /etc/ssh/ssh_host_ed25519_key || ssh-keygen -q -N "" -t ed25519 -f /etc/ssh/ssh_host_ed25519_key'
ExecStartPre=/usr/sbin/sshd -t
UNIT

    # Quick logins: no logind session, no messages of the day.
    sed -i '/pam_systemd\.so/d; /pam_motd\.so/d' "$etc"/pam.d/*
    rm -rf "$etc/update-motd.d" "$etc/motd"
    for unit in systemd-logind.service systemd-timesyncd.service systemd-resolved.service \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        e2scrub_reap.service fstrim.timer getty.target console-getty.service \
        systemd-update-utmp.service systemd-update-utmp-runlevel.service \
        systemd-journal-flush.service sys-kernel-debug.mount sys-kernel-tracing.mount \
        dev-hugepages.mount dev-mqueue.mount systemd-binfmt.service \
        systemd-pstore.service ssh.socket; do
        ln -sf /dev/null "$etc/systemd/system/$unit"
    done
}

image_prune() {
    local rootfs=$1
    rm -rf "$rootfs"/var/cache/apt/* "$rootfs"/var/lib/apt/lists/* \
        "$rootfs"/usr/share/{doc,man,i18n,info,lintian} \
        "$rootfs"/usr/share/locale/* "$rootfs"/var/log/* "$rootfs"/var/cache/debconf/*-old
    mkdir -p "$rootfs/var/lib/apt/lists/partial" "$rootfs/var/cache/apt/archives/partial"
}

image_metadata() {
    local dir=$1
    mkdir -p "$dir/templates"
    cat >"$dir/metadata.yaml" <<META
architecture: $(uname -m)
creation_date: $(date +%s)
expiry_date: 0
properties:
  description: Containarium test image
  os: Debian
templates:
  /etc/hostname:
    when: [create, copy]
    template: hostname.tpl
  /etc/hosts:
    when: [create, copy]
    template: hosts.tpl
META
    echo '{{ container.name }}' >"$dir/templates/hostname.tpl"
    printf '127.0.0.1\tlocalhost\n127.0.1.1\t{{ container.name }}\n::1\tlocalhost\n' \
        >"$dir/templates/hosts.tpl"
}
