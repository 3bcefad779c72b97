#!/bin/sh
# debian-root.sh ROOT [PACKAGE...]: a bare Debian root (debootstrap's minimal variant, and these packages), from the mirror that
# this machine uses, which apt inside it then knows too.
set -eu
suite=bookworm
root=$1
shift
PATH=$PATH:/usr/sbin:/sbin

# Where this machine gets Debian from, and how (proxy, checks): "URI SUITE COMPONENT" a line.
sources=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v s="$suite" '$2 == s || index($2, s "-") == 1 { print }' | sort -u)
mirror=$(printf '%s\n' "$sources" | awk -v s="$suite" '$2 == s && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || { echo "debian-root.sh: no source of $suite in this machine's apt configuration" >&2; exit 1; }
include=
case $sources in *https:*) include=ca-certificates ;; esac
for package; do
    include=${include:+$include,}$package
done
eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
[ -z "${http_proxy-}" ] || export http_proxy

log=$(mktemp)
trap 'rm -f "$log"' EXIT
debootstrap --variant=minbase ${include:+--include="$include"} "$suite" "$root" "$mirror" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; exit 1; }
printf '%s\n' "$sources" | sed 's/^/deb /' >"$root/etc/apt/sources.list"
apt-config dump | grep -E '^Acquire::(https?|Check|Retries|ForceIPv)' >"$root/etc/apt/apt.conf.d/90machine" || true
