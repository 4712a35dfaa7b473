#!/bin/bash
# Starts Calico on a node: registers the node, puts the CNI plugin where the kubelet's runtime looks
# for it, then becomes Felix, which programs routes and network policies.
# Usage: start (as root, in the host's network, the node's folders below /host)
set -euo pipefail

calico-node -startup
calico-node -allocate-tunnel-addrs -allocate-tunnel-addrs-run-once

# Renamed into place, so that the runtime never sees half a file; the configuration last, because
# with it the node counts as ready.
install_file() {
  install -m "$3" "$1" "$2.part"
  mv "$2.part" "$2"
}
install_file /usr/local/bin/calico /host/opt/cni/bin/calico 0755
install_file /usr/local/bin/calico /host/opt/cni/bin/calico-ipam 0755
install_file /usr/local/share/calico/10-calico.conflist /host/etc/cni/net.d/10-calico.conflist 0644

exec calico-node -felix
