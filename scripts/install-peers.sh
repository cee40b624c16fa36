#!/bin/bash
# Install what the tests and benchmarks start beside the gateway: the archives Orthanc and DCMTK's dcmqrscp,
# a browser with a font, nginx, the command line tools socat, jing, curl and unzip, and the viewer OHIF (into .peers/,
# brought by npm). Does nothing where all are there.
# Debian and Ubuntu; as root or through sudo. The tests start the archives themselves, on ports of their own,
# so the packages are kept from starting services.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

# what must be there (a command, or a file when it has a slash)     the packages that bring it
wanted="
Orthanc                                                orthanc
/usr/share/orthanc/plugins/libOrthancDicomWeb.so       orthanc-dicomweb
dcmqrscp                                               dcmtk
chromium                                               chromium
/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf        fonts-dejavu-core
socat                                                  socat
jing                                                   jing
gdcmconv                                               libgdcm-tools
opj_decompress                                         libopenjp2-tools
djxl                                                   libjxl-tools
curl                                                   curl
unzip                                                  unzip
nginx                                                  nginx-light
npm                                                    npm
"

fail() { echo "install-peers: $*" >&2; exit 1; }

is_there() {
    case $1 in
        */*) [ -e "$1" ] ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing_packages() {
    local probe package
    while read -r probe package; do
        [ -z "$probe" ] || is_there "$probe" || echo "$package"
    done <<<"$wanted"
}

install_viewer() {
    local here=${BASH_SOURCE[0]%/*}
    "$here/../deploy/ohif/fetch-viewer.sh" "$here/../.peers/ohif"
}

mapfile -t packages < <(missing_packages)
if [ ${#packages[@]} -eq 0 ]; then
    install_viewer
    exit 0
fi

command -v apt-get >/dev/null 2>&1 || fail "no apt-get here; please install by hand: ${packages[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1 || ! sudo -v; then
        fail "needs root; please run as root: apt-get install ${packages[*]}"
    fi
    as_root=(sudo)
fi

# invoke-rc.d asks this file; 101 means "do not start" (/usr/share/doc/init-system-helpers/README.policy-rc.d.gz)
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '"${as_root[@]}" rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
    "${as_root[@]}" chmod 755 $policy
fi

echo "install-peers: installing ${packages[*]}"
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq "$@" >/dev/null
}
apt update || echo "install-peers: package lists could not be refreshed, trying with those at hand" >&2
apt install --yes --no-install-recommends "${packages[@]}" || fail "apt-get could not install ${packages[*]}"

# nor at the next boot of this machine, if it was us who brought it
if [ -d /run/systemd/system ]; then
    for service in orthanc nginx; do
        [[ " ${packages[*]} " != *" $service"* ]] || "${as_root[@]}" systemctl disable --quiet $service.service || true
    done
fi

mapfile -t packages < <(missing_packages)
[ ${#packages[@]} -eq 0 ] || fail "still missing after the installation: ${packages[*]}"

install_viewer
