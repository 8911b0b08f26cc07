#!/usr/bin/env bash
# Builds the Debian package of this tree into build/package/packages/ and checks what is in it.
set -euo pipefail
cd "$(dirname "$0")/.."
./tools/packages.sh install build
command -v dpkg-shlibdeps >/dev/null || ./tools/packages.sh install test  # dpkg-dev

cmake --preset release -B build/package -DCMAKE_INSTALL_PREFIX=/usr
cmake --build build/package
rm -rf build/package/packages build/package/_CPack_Packages
(cd build/package && cpack -G DEB)

deb=$(ls build/package/packages/*.deb)
contents=$(dpkg-deb --contents "$deb")
for path in usr/sbin/vpsd usr/bin/vpsctl usr/libexec/vps/vps-supervise etc/vps/vpsd.yaml \
  usr/lib/systemd/system/vpsd.service usr/lib/systemd/system/vps-guests.service usr/lib/modules-load.d/vpsd.conf usr/lib/sysctl.d/10-vpsd.conf; do
  if ! grep -qE "^-.* root/root .*\./$path\$" <<<"$contents"; then
    echo "package.sh: $deb does not hold /$path" >&2
    exit 1
  fi
done
if grep -q ' \./usr/local/' <<<"$contents"; then
  echo "package.sh: $deb holds files below /usr/local" >&2
  exit 1
fi
dpkg-deb --info "$deb"
echo "$deb"
