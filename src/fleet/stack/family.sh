# Prints the family of this distribution, or how it calls itself.
ID= ID_LIKE=
[ ! -r /etc/os-release ] || . /etc/os-release
for id in $ID $ID_LIKE; do
    case $id in
    debian | ubuntu) echo debian ;;
    rhel | fedora | centos | rocky | almalinux) echo rhel ;;
    alpine) echo alpine ;;
    *) continue ;;
    esac
    exit
done
echo "${ID:-unknown}"
