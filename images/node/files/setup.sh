#!/bin/bash
# Turns the installed system into a kind node: services, paths kind expects, containerd's settings.
# Usage: setup.sh KUBERNETES_VERSION PAUSE_IMAGE (while the image is built)
set -euo pipefail
kubernetes_version=$1 pause_image=$2

# Only what a node needs starts: no udev, no initctl, no temporary-file setup over kind's mounts.
rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
  /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/basic.target.wants/* \
  /lib/systemd/system/sockets.target.wants/*udev* /lib/systemd/system/sockets.target.wants/*initctl* \
  /lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
printf 'ReadKMsg=no\n' >> /etc/systemd/journald.conf
ln -sf /usr/lib/systemd/systemd /sbin/init
chmod 755 /kind /kind/bin /kind/bin/* /usr/local/bin/*
systemctl enable kubelet.service containerd.service undo-mount-hacks.service
systemctl mask systemd-binfmt.service
mkdir -p /etc/kubernetes/manifests /etc/cni/net.d /opt/cni/bin

# Debian's binaries where kind looks for them.
ln -s /usr/bin/containerd /usr/bin/containerd-shim-runc-v2 /usr/bin/ctr /usr/local/bin/
ln -s /usr/sbin/runc /usr/local/sbin/runc
ln -s /usr/lib/cni/* /opt/cni/bin/

# A container may not lower its OOM score where CAP_SYS_RESOURCE is withheld.
sed -i -e 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' \
  -e "s#sandbox_image = .*#sandbox_image = \"$pause_image\"#" /etc/containerd/config.toml
# Every container sees the node's product files, as kind's own node image arranges it.
ctr oci spec | jq 'del(.process.rlimits)
  | .hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}]' \
  > /etc/containerd/cri-base.json
printf '%s' "$kubernetes_version" > /kind/version
