#!/bin/sh
# Installs, on Debian, what `make test-slow` starts: a SLURM of one machine, an SSH server, tools for network namespaces,
# Azurite, which stands for Azure's object store. (Google's stand-in comes with the Python packages of development.)
# Needs root. Nothing is started here and nothing keeps running: the tests start and stop what they use.
set -eu
if ! command -v apt-get >/dev/null; then
    echo "no apt-get here: install SLURM with munge, an SSH server and iproute2 by your system's own means" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "needs root: sudo make test-services" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.pdsl   # what is installed must not start by itself
chmod 755 /usr/sbin/policy-rc.d.pdsl
[ -e /usr/sbin/policy-rc.d ] || { mv /usr/sbin/policy-rc.d.pdsl /usr/sbin/policy-rc.d; ours=yes; }
trap 'rm -f /usr/sbin/policy-rc.d.pdsl; [ -z "${ours:-}" ] || rm -f /usr/sbin/policy-rc.d' EXIT
apt-get update
apt-get install --yes --no-install-recommends slurm-wlm munge openssh-server openssh-client iproute2 mount hostname
command -v npm >/dev/null || apt-get install --yes --no-install-recommends npm
npm install --global --no-fund --no-audit azurite
