#!/bin/sh
# Give the NICs of a converted Linux guest the names that its network configuration knows them by, so that it keeps its addresses.
#
# MAC:ip:ADDRESS,… of each NIC is in /tmp/macToIP. The interface whose configuration has that address gets a udev rule with that MAC.
# $ROOT is the guest's file system; only what every shell has is used, as guests lack tools.

root=${ROOT:-}
rules=$root/etc/udev/rules.d/70-persistent-net.rules

# The value of KEY=value in a file, without quotes.
value_of() {
    while IFS='=' read -r key value; do
        case $key in
            "$1") value=${value#[\"\']}; echo "${value%[\"\']}"; return ;;
        esac
    done < "$2"
}

# Whether a file has an address as a word of its own.
has() {
    [ -f "$2" ] || return 1
    while read -r line || [ -n "$line" ]; do
        case " $(printf '%s' "$line" | tr '\t"=,;/[]'"'" '         ') " in *" $1 "*) return 0 ;; esac
    done < "$2"
    return 1
}

from_ifcfg() {
    for file in "$root"/etc/sysconfig/network-scripts/ifcfg-* "$root"/etc/sysconfig/network/ifcfg-*; do
        has "$1" "$file" || continue
        name=$(value_of DEVICE "$file")
        echo "${name:-${file##*/ifcfg-}}"
        return
    done
}

from_network_manager() {
    for file in "$root"/etc/NetworkManager/system-connections/*; do
        has "$1" "$file" || continue
        value_of interface-name "$file"
        return
    done
}

from_networkd() {
    for file in "$root"/etc/systemd/network/*.network "$root"/run/systemd/network/*.network; do
        has "$1" "$file" || continue
        value_of Name "$file"
        return
    done
}

from_interfaces() {
    for file in "$root"/etc/network/interfaces "$root"/etc/network/interfaces.d/*; do
        [ -f "$file" ] || continue
        name=
        while read -r key first rest; do
            case $key in
                iface) name=$first ;;
                address) case ${first%%/*} in "$1") echo "$name"; return ;; esac ;;
            esac
        done < "$file"
    done
}

# An interface of netplan is a key that stands alone on its line, above its addresses.
from_netplan() {
    for file in "$root"/etc/netplan/*.yaml; do
        [ -f "$file" ] || continue
        name=
        while read -r key rest; do
            case $key in
                dhcp4:|dhcp6:|addresses:|routes:|nameservers:|match:|ethernets:|network:|version:|renderer:) ;;
                *:) [ -z "$rest" ] && name=${key%:} ;;
            esac
            case " $(printf '%s' "$key $rest" | tr '\t"/[],'"'" '       ') " in *" $1 "*) echo "$name"; return ;; esac
        done < "$file"
    done
}

name_of() {
    name=$(from_ifcfg "$1")
    [ -n "$name" ] || name=$(from_network_manager "$1")
    [ -n "$name" ] || name=$(from_networkd "$1")
    [ -n "$name" ] || name=$(from_interfaces "$1")
    [ -n "$name" ] || name=$(from_netplan "$1")
    echo "$name"
}

[ -e "$rules" ] && exit 0 # the guest knows its NICs by their MACs already
while read -r line || [ -n "$line" ]; do
    mac=${line%%:ip:*}
    address=${line#*:ip:}
    name=$(name_of "${address%%,*}")
    if [ -z "$name" ]; then
        echo "no configuration of the guest has the address ${address%%,*}"
        continue
    fi
    [ -d "${rules%/*}" ] || mkdir -p "${rules%/*}"
    echo "SUBSYSTEM==\"net\",ACTION==\"add\",ATTR{address}==\"$(printf '%s' "$mac" | tr 'A-F' 'a-f')\",NAME=\"$name\"" >> "$rules"
    echo "$name keeps ${address%%,*}"
done < "$root/tmp/macToIP"
exit 0
