#!/bin/bash
# Run DCMTK's dcmqrscp, a strict legacy archive, with its data in DIR, in the foreground; stop it with Ctrl-C.
#   start-dcmqrscp.sh DIR DICOM_PORT AET [MOVE_AET:HOST:PORT ...]
# Each MOVE_AET is an application entity that it may send to (a C-MOVE destination); without one it knows
# the gateway of a plain `dicomweb-gateway serve`: GATEWAY:localhost:11112.
# OPTS in the environment adds options of dcmqrscp, for instance OPTS=--disable-get.
# Set TCP_NODELAY=1 in the environment for the speed of a well-configured archive.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 DIR DICOM_PORT AET [MOVE_AET:HOST:PORT ...]" >&2
    exit 2
fi
mkdir -p "$1/db"
dir=$(cd "$1" && pwd) dicom_port=$2 ae_title=$3
shift 3
[ $# -gt 0 ] || set -- GATEWAY:localhost:11112
hosts="" number=0
for destination in "$@"; do
    IFS=: read -r name host port <<<"$destination"
    number=$((number + 1))
    hosts+="peer$number = ($name, $host, $port)"$'\n'
done
cat >"$dir/dcmqrscp.cfg" <<CFG
NetworkTCPPort  = $dicom_port
MaxPDUSize      = 131072
MaxAssociations = 16
HostTable BEGIN
${hosts}HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
$ae_title $dir/db RW (500, 1024mb) ANY
AETable END
CFG
echo "dcmqrscp: AE title $ae_title, DICOM port $dicom_port"
# shellcheck disable=SC2086  # OPTS is a list of options
exec dcmqrscp -c "$dir/dcmqrscp.cfg" ${OPTS:-}
