# . client.sh up|ike|down: the VPN client of a lab machine: IKE by strongSwan or libreswan, xl2tpd, pppd.
#
# For bash, whose builtins do most of it, because each process that is started costs
# user-mode-linux some 50 ms of this computer's time. `ike` brings up no more than IPsec. `up` ends with interface, address, gateway and dns as lines NAME=VALUE; or with exit status 1 and
# the line stage=STAGE. Logs: /run/log/{ike,xl2tpd,pppd}.log.
#
# Environment: CLIENT (strongswan or libreswan), ADDRESS (own), SERVER, PSK, LOGIN, PASSWORD, and
# as settings with these defaults:
: "${CERTIFICATES=}" # a directory as docs/certificates.md makes it: in place of the PSK
: "${IKE=aes256-sha256-modp2048,aes256-sha1-modp2048,aes128-sha1-modp2048}" # phase 1 proposals
: "${ESP=aes256-sha1,aes128-sha1}"                                          # phase 2 proposals
: "${AUTHENTICATION=mschapv2}" # mschapv2, chap, pap: the only method that pppd agrees to
: "${FORCE_ENCAPSULATION=no}"  # yes: UDP encapsulation although there is no NAT
: "${IKE_LIFETIME=8h}" "${SA_LIFETIME=1h}" "${REKEY_MARGIN=9m}"
: "${IKE_LOG=1}" # strongSwan's log level for IKE; at 4 it tells the keys
: "${IPSEC=yes}" # no: L2TP in clear text
: "${IPV6=no}" # yes: pppd asks for IPv6 too
: "${PATIENCE=15}" # seconds that each stage may take

LOGS=/run/log
PLUTO=/usr/libexec/ipsec
NSS=/run/nss${CERTIFICATES:+-certificates}
CONTROL=/run/xl2tpd.control
STARTER=/run/starter.charon.pid

# put: what comes in, as cat would
put() {
	local IFS= line
	while read -r line; do printf '%s\n' "$line"; done
}

# has FILE TEXT: whether the text is in the file
has() {
	local text
	IFS= read -rd '' text <"$1"
	[[ $text == *"$2"* ]]
}

# pause SECONDS: file descriptor 9 has nothing to read
pause() { read -rt "$1" -u 9 || :; }

# stop PIDFILE: end a process, and wait until it has gone
stop() {
	local pid
	read -r pid <"$1" && kill "$pid" && until_true 10 eval "! kill -0 $pid"
	[ ! -e "$1" ] || rm -f "$1"
}

failed() {
	echo "stage=$1"
	exit 1
}

# until_true SECONDS COMMAND...: ask every 50 ms; status 1 if it did not become true
until_true() {
	polls=$(($1 * 20))
	shift
	until "$@" >/dev/null 2>&1; do
		polls=$((polls - 1))
		[ $polls -gt 0 ] || return 1
		pause 0.05
	done
}

strongswan_start() {
	if [ "$CERTIFICATES" ]; then
		mkdir -p /etc/ipsec.d/cacerts
		cp "$CERTIFICATES/ca.pem" /etc/ipsec.d/cacerts
		echo ": RSA $CERTIFICATES/laptop.key" >/etc/ipsec.secrets
		proof="authby=pubkey
		  leftcert=$CERTIFICATES/laptop.pem"
	else
		echo ": PSK \"$PSK\"" >/etc/ipsec.secrets
		proof="authby=secret"
	fi
	put >/etc/ipsec.conf <<-END
		config setup
		  uniqueids=no
		conn vpn
		  keyexchange=ikev1
		  $proof
		  type=transport
		  left=$ADDRESS
		  leftprotoport=17/1701
		  right=$SERVER
		  rightid=%any
		  rightprotoport=17/1701
		  ike=$IKE!
		  esp=$ESP!
		  ikelifetime=$IKE_LIFETIME
		  lifetime=$SA_LIFETIME
		  margintime=$REKEY_MARGIN
		  rekeyfuzz=0%
		  dpdaction=clear
		  dpddelay=30s
		  forceencaps=$FORCE_ENCAPSULATION
		  auto=add
	END
	put >/etc/strongswan.conf <<-END
		charon {
		  load = random nonce aes des sha1 sha2 md5 hmac gcm openssl gmp kernel-netlink socket-default stroke updown \
		    x509 pem pkcs1 pubkey constraints
		  install_routes = no
		  retransmit_timeout = 2
		  retransmit_tries = 3
		  filelog {
		    log {
		      path = $LOGS/ike.log
		      flush_line = yes
		      ike = $IKE_LOG
		    }
		  }
		}
	END
	/usr/lib/ipsec/starter --daemon charon >/dev/null 2>&1
	until_true 20 has $LOGS/ike.log "added configuration 'vpn'" || failed start
}

strongswan_up() {
	[[ $(timeout "$PATIENCE" /usr/lib/ipsec/stroke up vpn) == *'established successfully'* ]]
}

strongswan_down() {
	[ -e $STARTER ] || return 0
	/usr/lib/ipsec/stroke down-nb vpn >/dev/null 2>&1 # it would wait for more than the Delete
	pause 0.2
	stop $STARTER
}

libreswan_start() {
	mkdir -p /run/pluto $NSS
	[ -e $NSS/cert9.db ] || certutil -N -d sql:$NSS --empty-password
	if [ "$CERTIFICATES" ]; then
		pk12util -i "$CERTIFICATES/laptop.p12" -d sql:$NSS -W change-this >/dev/null
		certutil -A -d sql:$NSS -n authority -t CT,, -a -i "$CERTIFICATES/ca.pem"
		proof="authby=rsasig
		  leftcert=laptop
		  leftid=%fromcert
		  leftrsasigkey=%cert
		  rightid=\"O=Example, CN=vpn.example.com\"
		  rightrsasigkey=%cert
		  rightca=%same"
	else
		proof="authby=secret"
	fi
	put >/etc/ipsec.conf <<-END
		config setup
		  uniqueids=no
		  ikev1-policy=accept
		conn vpn
		  ikev2=no
		  $proof
		  type=transport
		  left=$ADDRESS
		  leftprotoport=17/1701
		  right=$SERVER
		  rightprotoport=17/1701
		  pfs=no
		  keyingtries=1
		  ikelifetime=$IKE_LIFETIME
		  salifetime=$SA_LIFETIME
		  rekeymargin=$REKEY_MARGIN
		  rekeyfuzz=0%
		  encapsulation=$([ "$FORCE_ENCAPSULATION" = yes ] && echo yes || echo auto)
		  auto=add
	END
	echo "%any %any : PSK \"$PSK\"" >/etc/ipsec.secrets
	$PLUTO/pluto --config /etc/ipsec.conf --secretsfile /etc/ipsec.secrets --nssdir $NSS \
		--rundir /run/pluto --logfile $LOGS/ike.log --nofork --use-xfrm --no-dnssec >$LOGS/pluto.out 2>&1 &
	until_true 20 test -S /run/pluto/pluto.ctl || failed start
	whack --listen >/dev/null
	$PLUTO/addconn --config /etc/ipsec.conf --ctlsocket /run/pluto/pluto.ctl vpn >/dev/null
}

whack() { timeout "$PATIENCE" $PLUTO/whack --ctlsocket /run/pluto/pluto.ctl "$@"; }

libreswan_up() { whack --name vpn --initiate | grep -q 'IPsec SA established transport mode'; }

libreswan_down() {
	[ -S /run/pluto/pluto.ctl ] || return 0
	whack --name vpn --terminate >/dev/null 2>&1
	whack --shutdown >/dev/null 2>&1
	rm -rf /run/pluto
}

l2tp_start() {
	{
		case $AUTHENTICATION in
		mschapv2) printf '%s\n' refuse-eap refuse-pap refuse-chap refuse-mschap ;;
		chap) printf '%s\n' refuse-eap refuse-pap refuse-mschap refuse-mschap-v2 ;;
		pap) printf '%s\n' refuse-eap refuse-chap refuse-mschap refuse-mschap-v2 ;;
		esac
		put <<-END
			user "$LOGIN"
			password "$PASSWORD"
			noauth
			noccp
			nobsdcomp
			nodeflate
			$([ "$IPV6" = yes ] && echo +ipv6 || echo noipv6)
			noipdefault
			nodefaultroute
			ipcp-accept-local
			ipcp-accept-remote
			usepeerdns
			mtu 1400
			mru 1400
			lcp-echo-interval 20
			lcp-echo-failure 4
			debug
			logfile $LOGS/pppd.log
		END
	} >/etc/ppp/options.vpn
	# In place of the package's own, and executable as those are.
	put >/etc/ppp/ip-up <<-'END'
		#!/bin/sh
		# pppd's arguments: interface, tty, speed, own address, peer's address
		ip route replace 192.168.1.0/24 dev "$1"
		printf 'interface=%s\naddress=%s\ngateway=%s\ndns=%s\n' "$1" "$4" "$5" "$DNS1 $DNS2" >/run/up.new
		mv /run/up.new /run/up
	END
	printf '#!/bin/sh\nrm -f /run/up\n' >/etc/ppp/ip-down
	put >/etc/xl2tpd/xl2tpd.conf <<-END
		[global]
		port = 1701
		debug tunnel = yes
		debug state = yes
		[lac vpn]
		lns = $SERVER
		pppoptfile = /etc/ppp/options.vpn
		length bit = yes
		redial = no
	END
	xl2tpd -D -C $CONTROL -p /run/xl2tpd.pid >$LOGS/xl2tpd.log 2>&1 &
	until_true 10 test -p $CONTROL || failed start
}

ended() {
	local text
	IFS= read -rd '' text <$LOGS/pppd.log
	[[ $text =~ 'authentication failed'|'LCP terminated by peer'|'Connection terminated'|'Modem hangup' ]]
}

l2tp_up() {
	echo 'c vpn' >$CONTROL
	until_true "$PATIENCE" eval '[ -s /run/up ] || ended' || failed l2tp
	[ -s /run/up ] && return
	has $LOGS/pppd.log 'authentication failed' && failed authentication
	failed ppp
}

l2tp_down() {
	[ -s /run/xl2tpd.pid ] || return 0
	[ ! -p $CONTROL ] || echo 'd vpn' 1<>$CONTROL # which never waits for a reader
	until_true 3 test ! -e /run/up
	pause 0.2 # for the StopCCN and its acknowledgement
	stop /run/xl2tpd.pid
	for file in /run/ppp*.pid; do # pppd asks twice for a Terminate-Ack that cannot come any more
		[ -e "$file" ] && read -r pid <"$file" && kill -9 "$pid"
	done
	rm -f /run/xl2tpd.pid /run/ppp*.pid /run/up
}

down() {
	[ -e /run/xl2tpd.pid ] || [ -e $STARTER ] || [ -e /run/pluto ] || return 0
	l2tp_down
	"${CLIENT}_down"
	ip xfrm state flush
	ip xfrm policy flush
}

fresh() {
	down
	for log in ike xl2tpd pppd; do : >$LOGS/$log.log; done
}

case $1 in
up)
	fresh
	[ $IPSEC = no ] || "${CLIENT}_start"
	l2tp_start
	ping -c 1 -W 1 "$SERVER" >/dev/null # so that ARP takes no part
	[ $IPSEC = no ] || "${CLIENT}_up" || failed ike
	l2tp_up
	read -rd '' text </run/up
	echo "$text"
	;;
ike)
	fresh
	"${CLIENT}_start"
	ping -c 1 -W 1 "$SERVER" >/dev/null
	"${CLIENT}_up" || failed ike
	;;
down) down ;;
esac
exit 0
