#!/bin/sh
# prepare.sh CACHE: get what the tests with real clients need (Debian 12 or later, root).
#
# Only tools are installed on this machine. The VPN clients are unpacked beneath CACHE, one tree
# for each, which a user-mode-linux lays over this machine's root: so none of them starts as a
# service here, and clients whose packages conflict can be had at the same time.
set -eu
cache=$1
export DEBIAN_FRONTEND=noninteractive

tools="python3-venv user-mode-linux kmod iproute2 nftables procps iputils-ping tcpdump tshark ike-scan
openssl eapoltest"
missing=$(for tool in $tools; do
	dpkg-query -Wf '${Status}' "$tool" 2>/dev/null | grep -q ' installed$' || echo "$tool"
done)
apt-get -qq update
# shellcheck disable=SC2086 # a list of words
[ -z "$missing" ] || apt-get -qq install --no-install-recommends $missing

# unpack NAME PACKAGE...: the packages, and what they need that is not installed here
unpack() {
	tree=$cache/$1 debs=$cache/$1.debs
	shift
	rm -rf "$tree" "$debs"
	mkdir -p "$tree" "$debs/partial"
	apt-get -qq install --no-install-recommends --download-only --reinstall \
		-o Dir::Cache::archives="$(realpath "$debs")" "$@"
	for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$tree"; done
	rm -rf "$debs"
	usrmerge "$tree"
}

# usrmerge TREE: Debian's /lib, /sbin and /bin are links; a directory laid over them would hide all
usrmerge() {
	for top in bin sbin lib lib64; do
		[ -d "$1/$top" ] || continue
		mkdir -p "$1/usr/$top"
		cp -a "$1/$top/." "$1/usr/$top/"
		rm -rf "${1:?}/$top"
	done
}

unpack ppp xl2tpd ppp
unpack strongswan strongswan-starter strongswan-charon strongswan-libcharon libstrongswan \
	libstrongswan-standard-plugins libcharon-extra-plugins
unpack libreswan libreswan libnss3-tools
unpack postgresql "$(apt-cache depends postgresql | sed -n 's/.*Depends: //p')"
unpack freeradius freeradius freeradius-utils
