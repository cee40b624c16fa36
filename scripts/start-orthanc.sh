#!/bin/bash
# Run an Orthanc archive with its data in DIR, in the foreground; stop it with Ctrl-C.
#   start-orthanc.sh DIR DICOM_PORT HTTP_PORT AET [MOVE_AET:HOST:PORT ...]
# Each MOVE_AET is an application entity that Orthanc may send to (a C-MOVE destination); without one it
# knows the gateway of a plain `dicomweb-gateway serve`: GATEWAY:127.0.0.1:11112.
# Set TCP_NODELAY=1 in the environment for the speed of a well-configured archive.
set -euo pipefail
export PATH="$PATH:/usr/sbin"
if [ $# -lt 4 ]; then
    echo "usage: $0 DIR DICOM_PORT HTTP_PORT AET [MOVE_AET:HOST:PORT ...]" >&2
    exit 2
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd) dicom_port=$2 http_port=$3 ae_title=$4
shift 4
[ $# -gt 0 ] || set -- GATEWAY:127.0.0.1:11112
modalities=""
for destination in "$@"; do
    IFS=: read -r name host port <<<"$destination"
    modalities+="${modalities:+, }\"$name\": [\"$name\", \"$host\", $port]"
done
cat >"$dir/orthanc.json" <<JSON
{
  "Name": "$ae_title",
  "StorageDirectory": "$dir/storage", "IndexDirectory": "$dir/storage",
  "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
  "DicomAet": "$ae_title", "DicomPort": $dicom_port,
  "DicomAlwaysAllowFind": true, "DicomAlwaysAllowGet": true, "DicomAlwaysAllowMove": true,
  "UnknownSopClassAccepted": true, "DefaultEncoding": "Utf8", "MaximumPduLength": 131072,
  "HttpPort": $http_port, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
  "DicomModalities": { $modalities },
  "DicomWeb": { "Enable": true, "Root": "/dicom-web/" }
}
JSON
echo "Orthanc: AE title $ae_title, DICOM port $dicom_port, http://127.0.0.1:$http_port/"
exec Orthanc "$dir/orthanc.json"
