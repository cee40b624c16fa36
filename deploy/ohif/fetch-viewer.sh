#!/bin/sh
# Bring the built OHIF viewer into FOLDER: the version below, as its authors publish it, checked by its sum.
#   fetch-viewer.sh FOLDER
# Does nothing where that version is there already. Needs npm, which knows where packages come from.
set -eu

version=3.13.2
sha512=5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3deea3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10

fail() { echo "fetch-viewer: $*" >&2; exit 1; }

[ $# -eq 1 ] || fail "usage: fetch-viewer.sh FOLDER"
folder=$1
[ "$(cat "$folder/VERSION" 2>/dev/null)" != "$version" ] || exit 0

command -v npm >/dev/null 2>&1 || fail "npm is not installed"
mkdir -p "$(dirname "$folder")"
scratch=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

echo "fetch-viewer: fetching OHIF $version"
(cd "$scratch" && npm pack --silent --prefer-offline "@ohif/app@$version" >/dev/null) || fail "npm could not bring OHIF"
package=$scratch/ohif-app-$version.tgz
echo "$sha512  $package" | sha512sum --check --status || fail "$package is not what was pinned"
tar -xzf "$package" -C "$scratch" package/dist package/LICENSE
find "$scratch/package/dist" -name '*.map' -delete  # for debuggers
cp "$scratch/package/LICENSE" "$scratch/package/dist/LICENSE"
echo "$version" >"$scratch/package/dist/VERSION"
rm -rf "$folder"
mv "$scratch/package/dist" "$folder"
chmod -R a+rX "$folder"
