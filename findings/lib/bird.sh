# Two BIRDs, a speaker and a router, each in a namespace, with one link between them. Sourced after common.sh.
BIRD_VERSION=2.0.12-7

two_namespaces() {
  debian bird2=$BIRD_VERSION
  bird=$root/usr/sbin/bird
  namespace speaker
  namespace router
  ip link add s0 netns "$speaker" type veth peer name r0 netns "$router"
  ip -n "$speaker" address add 198.18.0.1/24 dev s0
  ip -n "$router" address add 198.18.0.2/24 dev r0
  ip -n "$speaker" link set s0 up
  ip -n "$router" link set r0 up
  "$bird" --version 2>&1 || true
}

# start_bird NAMESPACE NAME: with the configuration $work/NAME.conf.
start_bird() { background "$work/$2.log" nsenter "--net=/run/netns/$1" "$bird" -f -c "$work/$2.conf" -s "$work/$2.ctl" -P "$work/$2.pid"; }

# ask NAME COMMAND...: one command to a BIRD, and its answer.
ask() { "$root/usr/sbin/birdc" -s "$work/$1.ctl" "${@:2}"; }

# router_configuration: takes everything from AS 65001, writes nothing into the kernel.
router_configuration() {
  cat >"$work/router.conf" <<CONF
router id 198.18.0.2;
protocol device { scan time 1; }
$1
protocol bgp from_speaker {
  local as 65000; neighbor 198.18.0.1 as 65001;
  connect delay time 1; connect retry time 1; error wait time 1,2;
  $2
  ipv4 { import all; export none; };
}
CONF
}

established() { ask "$1" show protocols | grep -q 'Established'; }
router_has() { ask router show route "$1" | grep -q "$1"; }
router_lacks() { ! router_has "$1"; }
