# shellcheck shell=bash
# Two more images, made of the first one's files in some seconds:
#
#   small  busybox as init and tools, OpenSSH's sshd and sudo: starts in a fraction of a second. It
#          stands for the Alpine family, with adduser and addgroup but without its packages.
#   bare   Debian without sshd and sudo, and a repository inside from which apt installs them.

# Packages that `bare` lacks and has in its repository. The client is there as the server wants the
# very same version.
BARE_PACKAGES='openssh-server openssh-sftp-server openssh-client sudo'

more_images_version() {
    cat "$LAB_LIB/images.sh" "$LAB_CACHE/debian.version" | sha256sum | cut -c1-16
}

more_images_are_cached() {
    [ -s "$LAB_CACHE/small.squashfs" ] && [ -s "$LAB_CACHE/bare.squashfs" ] &&
        [ "$(cat "$LAB_CACHE/more.version" 2>/dev/null)" = "$(more_images_version)" ]
}

# Called when the first image is in the cache.
more_images_build() {
    local lock tmp start=$SECONDS
    exec {lock}>"$LAB_CACHE/lock"
    flock "$lock"
    if ! more_images_are_cached; then
        say "building two more images (once; some seconds)"
        rm -rf --one-file-system "$LAB_CACHE"/build.*
        tmp=$(mktemp -d "$LAB_CACHE/build.XXXXXX")
        more_images_make "$tmp" >"$LAB_CACHE/more.log" 2>&1 || die "see $LAB_CACHE/more.log"
        rm -f "$LAB_CACHE/more.version"
        mv "$tmp"/*.squashfs "$LAB_CACHE/"
        more_images_version >"$LAB_CACHE/more.version"
        rm -rf --one-file-system "$tmp"
        say "two more images built in $((SECONDS - start)) s"
    fi
    exec {lock}>&-
}

# Not to be called where a failure is caught, but in a list of commands that all succeed.
more_images_make() {
    local tmp=$1 name
    mkdir "$tmp/packages" &&
        # shellcheck disable=SC2086
        (cd "$tmp/packages" && apt-get -q download busybox-static $BARE_PACKAGES) &&
        unsquashfs -quiet -no-progress -d "$tmp/bare" "$LAB_CACHE/debian.squashfs" &&
        small_rootfs "$tmp/bare" "$tmp/packages" "$tmp/small" &&
        bare_rootfs "$tmp/bare" "$tmp/packages" || return 1
    for name in small bare; do
        mksquashfs "$tmp/$name" "$tmp/$name.squashfs" -noappend -quiet -no-progress \
            -comp zstd -Xcompression-level 3 || return 1
    done
}

bare_rootfs() {
    local rootfs=$1 packages=$2 repository=$1/srv/packages deb
    # Their removal is to stop nothing outside, and sudo's to ask nobody.
    printf '#!/bin/sh\nexit 101\n' >"$rootfs/usr/sbin/policy-rc.d"
    chmod 755 "$rootfs/usr/sbin/policy-rc.d"
    SUDO_FORCE_REMOVE=yes chroot "$rootfs" dpkg --purge openssh-server openssh-sftp-server sudo ||
        return 1
    rm -f "$rootfs/usr/sbin/policy-rc.d"
    mkdir -p "$repository"
    for deb in $BARE_PACKAGES; do
        deb=$(echo "$packages/${deb}"_*.deb)
        cp "$deb" "$repository/" || return 1
        dpkg-deb -f "$deb"
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$(basename "$deb")" \
            "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
    done >"$repository/Packages"
    rm -f "$rootfs"/etc/apt/sources.list.d/*
    echo 'deb [trusted=yes] file:/srv/packages ./' >"$rootfs/etc/apt/sources.list"
}

small_rootfs() {
    local debian=$1 packages=$2 rootfs=$3 etc=$3/etc program library
    dpkg-deb -x "$packages"/busybox-static_*.deb "$rootfs" || return 1
    rm -rf "${rootfs:?}/usr" "${rootfs:?}/etc"
    mkdir -p "$rootfs"/{sbin,usr/bin,usr/sbin,usr/lib/openssh,usr/libexec,lib64,root,proc,sys,dev,tmp,run,home} \
        "$rootfs"/var/{log,empty,lib/sudo} "$etc"/{ssh/sshd_config.d,sudoers.d,pam.d,security}
    ln -s ../run "$rootfs/var/run"
    ln -s usr/lib "$rootfs/lib"
    chmod 1777 "$rootfs/tmp"
    chmod 700 "$rootfs/root"
    chroot "$rootfs" /bin/busybox --install -s
    rm -f "$rootfs"/usr/bin/dpkg "$rootfs"/bin/rpm "$rootfs"/usr/bin/dpkg-deb

    # OpenSSH and sudo with what they need, getent as Alpine has it.
    cp -a "$debian/usr/libexec/sudo" "$rootfs/usr/libexec/"
    for program in /usr/sbin/sshd /usr/bin/ssh-keygen /usr/lib/openssh/sftp-server /usr/bin/sudo \
        /usr/sbin/visudo /usr/bin/getent; do
        cp -a "$debian$program" "$rootfs$program" || return 1
    done
    mkdir -p "$rootfs/usr/lib/x86_64-linux-gnu/security"
    cp "$debian"/usr/lib/x86_64-linux-gnu/security/pam_{unix,permit,deny,env}.so \
        "$rootfs/usr/lib/x86_64-linux-gnu/security/" || return 1
    chroot "$debian" ldd /usr/sbin/sshd /usr/bin/ssh-keygen /usr/lib/openssh/sftp-server \
        /usr/bin/sudo /usr/sbin/visudo /usr/bin/getent /usr/libexec/sudo/sudoers.so \
        /usr/lib/x86_64-linux-gnu/security/pam_unix.so |
        grep -o '/[^ :]*\.so[^ :]*' | sort -u | while read -r library; do
        [ -e "$rootfs$library" ] ||
            install -D -m 755 "$debian$library" "$rootfs$library" || exit 1
    done || return 1
    small_accounts "$rootfs"
    small_services "$rootfs"
    cp "$debian/etc/sudoers" "$etc/sudoers"
    printf 'auth sufficient pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\npassword required pam_deny.so\n' \
        >"$etc/pam.d/other"
}

small_accounts() {
    local etc=$1/etc
    printf 'root:x:0:0:root:/root:/bin/sh\nsshd:x:22:22:sshd:/var/empty:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n' >"$etc/passwd"
    printf 'root:*:19000:0:::::\nsshd:!:19000:0:::::\nnobody:!:19000:0:::::\n' >"$etc/shadow"
    printf 'root:x:0:root\ntty:x:5:\nwheel:x:10:root\nsshd:x:22:\nusers:x:100:\nnogroup:x:65534:\n' >"$etc/group"
    chmod 640 "$etc/shadow"
    printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' >"$etc/nsswitch.conf"
    printf '/bin/sh\n/bin/ash\n' >"$etc/shells"
    printf 'NAME="Small"\nID=small\nID_LIKE=alpine\nVERSION_ID=1\nPRETTY_NAME="Small test image"\n' >"$etc/os-release"
    echo 'nameserver 10.0.3.1' >"$etc/resolv.conf"

    # What busybox has on Alpine and lacks on Debian, with the options that scripts use.
    cat >"$1/usr/sbin/adduser" <<'SH'
#!/bin/sh
# adduser -D [-s SHELL] LOGIN, or adduser LOGIN GROUP
shell=/bin/sh
while getopts DHSs:h:G:g:u: option; do [ "$option" != s ] || shell=$OPTARG; done
shift $((OPTIND - 1))
[ $# -eq 1 ] || exec addgroup "$@"
! grep -q "^$1:" /etc/passwd || { echo "adduser: user '$1' in use" >&2; exit 1; }
id=1000
while cut -d: -f3 /etc/passwd /etc/group | grep -qx $id; do id=$((id + 1)); done
echo "$1:x:$id:" >>/etc/group
echo "$1:x:$id:$id::/home/$1:$shell" >>/etc/passwd
echo "$1:!:19000:0:99999:7:::" >>/etc/shadow
mkdir -p "/home/$1"
chown "$id:$id" "/home/$1"
SH
    cat >"$1/usr/sbin/addgroup" <<'SH'
#!/bin/sh
# addgroup [-S] GROUP, or addgroup LOGIN GROUP
[ "$1" != -S ] || shift
if [ $# -eq 1 ]; then
    id=101
    while cut -d: -f3 /etc/group | grep -qx $id; do id=$((id + 1)); done
    echo "$1:x:$id:" >>/etc/group
else
    awk -F: -v OFS=: -v g="$2" -v u="$1" '$1 == g { $4 = $4 == "" ? u : $4 "," u } { print }' \
        /etc/group >/etc/group.new && cat /etc/group.new >/etc/group && rm /etc/group.new
fi
SH
    cat >"$1/usr/sbin/delgroup" <<'SH'
#!/bin/sh
# delgroup LOGIN GROUP
awk -F: -v OFS=: -v g="$2" -v u="$1" '$1 == g {
    n = split($4, m, ","); $4 = ""
    for (i = 1; i <= n; i++) if (m[i] != u) $4 = $4 == "" ? m[i] : $4 "," m[i]
} { print }' /etc/group >/etc/group.new && cat /etc/group.new >/etc/group && rm /etc/group.new
SH
    chmod 755 "$1"/usr/sbin/{adduser,addgroup,delgroup}
}

small_services() {
    local etc=$1/etc
    printf 'Include /etc/ssh/sshd_config.d/*.conf\nHostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\nSubsystem sftp /usr/lib/openssh/sftp-server\n' \
        >"$etc/ssh/sshd_config"
    printf '::sysinit:/etc/rc\n::respawn:/usr/sbin/sshd -D -e\n::shutdown:/bin/true\n' >"$etc/inittab"
    cat >"$etc/rc" <<'SH'
#!/bin/sh
export PATH=/sbin:/bin:/usr/sbin:/usr/bin
[ ! -f /etc/hostname ] || hostname -F /etc/hostname
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd
ip link set lo up
ip link set eth0 up && udhcpc -i eth0 -b -S -t 20 -T 1 -A 1 -s /etc/udhcpc.sh \
    -x hostname:"$(hostname)" >/dev/null 2>&1 &
[ -s /etc/ssh/ssh_host_ed25519_key ] ||
    ssh-keygen -q -N '' -t ed25519 -f /etc/ssh/ssh_host_ed25519_key
SH
    cat >"$etc/udhcpc.sh" <<'SH'
#!/bin/sh
case $1 in
deconfig) ip addr flush dev $interface; ip link set $interface up ;;
bound | renew)
    ip addr replace $ip/$mask dev $interface
    for r in $router; do ip route replace default via $r; done
    ;;
esac
SH
    chmod 755 "$etc/rc" "$etc/udhcpc.sh"
}
