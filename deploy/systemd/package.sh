#!/bin/sh
# Makes a Debian package of programs that have been built:
#
#   deploy/systemd/package.sh target/debug warren.deb
#
# The version is the program's own. Needs dpkg-deb and dpkg-shlibdeps (package dpkg-dev).
set -eu

programs=$1
package=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
tree=$(mktemp -d)
chmod 755 "$tree"
trap 'rm -rf "$tree"' EXIT

install -D -m 755 -t "$tree/usr/bin" "$programs/warren" "$programs/warrenctl"
strip --strip-debug "$tree/usr/bin/warren" "$tree/usr/bin/warrenctl"
for name in ctl -diagnostics -plugins -queues -server -upgrade; do
    ln -s warrenctl "$tree/usr/bin/rabbitmq$name"
done
install -D -m 644 "$here/warren.service" "$tree/usr/lib/systemd/system/warren.service"
sed -i 's|/usr/local/bin/|/usr/bin/|' "$tree/usr/lib/systemd/system/warren.service"
install -d -m 755 "$tree/etc/warren"
"$programs/warren" default-config | sed 's/^\([a-z_]* = \)/# \1/' > "$tree/etc/warren/warren.toml"
chmod 644 "$tree/etc/warren/warren.toml"

install -d -m 755 "$tree/DEBIAN"
for script in postinst prerm postrm; do
    install -m 755 "$here/debian/$script" "$tree/DEBIAN/$script"
done
install -m 644 "$here/debian/conffiles" "$tree/DEBIAN/conffiles"

# dpkg-shlibdeps wants a source package around it.
mkdir "$tree/debian"
cp "$here/debian/control" "$tree/debian/control"
libraries=$(cd "$tree" && dpkg-shlibdeps -O usr/bin/warren usr/bin/warrenctl 2>/dev/null)
rm -r "$tree/debian"
version=$("$programs/warren" --version | cut -d ' ' -f 2)
size=$(du -sk "$tree" | cut -f 1)
{
    sed -n '/^Package:/,$p' "$here/debian/control" |
        sed "s/^Architecture:.*/Architecture: $(dpkg --print-architecture)/" |
        sed "s/\${shlibs:Depends}/${libraries#shlibs:Depends=}/" |
        sed "s/^Package: warren$/Package: warren\nVersion: $version\nInstalled-Size: $size\nMaintainer: warren/"
} > "$tree/DEBIAN/control"
dpkg-deb --root-owner-group -Zxz -z1 --build "$tree" "$package" > /dev/null
