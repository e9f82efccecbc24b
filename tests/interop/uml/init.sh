#!/bin/bash
# Process 1 of a lab machine: user-mode-linux on the root of this computer, read only, with the
# trees in LAYERS laid over it and a memory file system above, so that all of it is writable.
# It is bash and not sh because process 1 has to reap the daemons that it inherits.
#
# The kernel hands its unknown arguments over as environment: NAME of the machine, its ADDRESS with
# prefix length, its GATEWAY or "none", LAYERS (separated by colons), SHARE (a directory of the
# host, for the command channel); and of a router its address in the BRANCH.
export PATH=/usr/sbin:/usr/bin LC_ALL=C HOME=/root TMPDIR=/run
MODULES=/usr/lib/uml/modules/$(uname -r)

if [ -z "${LAYERED:-}" ]; then
	insmod "$MODULES/kernel/fs/overlayfs/overlay.ko"
	mount -t tmpfs tmpfs /mnt
	mkdir /mnt/upper /mnt/work /mnt/root
	lower=/
	IFS=:
	for layer in $LAYERS; do # each mounted by itself: overlayfs wants trees that are not nested
		mount="/mnt/$(basename "$layer")"
		mkdir "$mount"
		mount -t hostfs -o "$layer" none "$mount"
		lower=$mount:$lower
	done
	mount -t overlay -o "lowerdir=$lower,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
	LAYERED=yes exec chroot /mnt/root "$0"
fi

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
mkdir -p /run/log /run/lock /run/share "/lib/modules"
ln -sfn "$MODULES" "/lib/modules/$(uname -r)"
mount -t hostfs -o "$SHARE" none /run/share

# The kernel would look for modules on the host's root.
modprobe -a l2tp_ppp esp4 xfrm_user authenc echainiv cbc hmac sha1_generic sha256_generic \
	des_generic gcm ctr seqiv

hostname "$NAME"
sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip link set lo up
ip link set vec0 up
ip address add "$ADDRESS" dev vec0
[ "$GATEWAY" = none ] || ip route add default via "$GATEWAY"
if [ "${BRANCH:-}" ]; then
	ip link set vec1 up
	ip address add "$BRANCH" dev vec1
	sysctl -qw net.ipv4.ip_forward=1
fi

# The command channel: a line ID on the console runs share/ID.sh, whose output goes to share/ID.out
# and whose exit status to share/ID.status. Commands run side by side.
stty -echo
mkfifo /run/never
exec 9<>/run/never
touch /run/share/ready
while read -r id; do
	(
		trap 'echo $? >"/run/share/$id.status"' EXIT
		. "/run/share/$id.sh" >"/run/share/$id.out" 2>&1 </dev/null
	) &
done
poweroff -f
