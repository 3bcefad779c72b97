#!/bin/sh
# need.sh GROUP...: have the Debian packages of these groups on this machine.
#
# Says nothing and takes a few milliseconds when nothing is missing. Otherwise installs what is missing, as root or
# through sudo if that asks for no password; else prints the one command that would do it, and fails.
# Services that come with a package (a peer to measure against, say) are not left running: nobody asked for them.
set -eu

packages_of() {
    case $1 in
    build) echo "gcc libc6-dev meson ninja-build pkg-config libjansson-dev libsqlite3-dev libssl-dev libcurl4-openssl-dev libmnl-dev libpcre2-dev" ;;
    clang) echo "clang llvm" ;;
    test)  echo "libcmocka-dev python3 python3-pytest python3-jsonschema varnish groff-base dnsmasq-base bind9-dnsutils node-llhttp curl openssl wrk socat python3-websockets iproute2 nftables util-linux systemd etcd-server etcd-client redis-server" ;;
    lint)  echo "clang clang-format clang-tidy cppcheck" ;;
    fuzz)  echo "clang llvm node-llhttp" ;;
    bench) echo "gcc libc6-dev python3 wrk haproxy nginx libnginx-mod-stream strace valgrind iproute2 nftables util-linux procps redis-server keepalived" ;;
    logs)  echo "binutils redis-server postgresql-15 nginx haproxy etcd-server systemd debootstrap util-linux mount" ;;
    demo)  echo "python3 redis-server etcd-server" ;;
    deb)   echo "debhelper dpkg-dev" ;;
    package-test) echo "debootstrap lintian mount nftables iproute2 util-linux" ;;
    fresh) echo "debootstrap util-linux mount" ;;
    *) echo "need.sh: no group '$1'" >&2; exit 2 ;;
    esac
}

wanted=
for group; do
    wanted="$wanted $(packages_of "$group")"
done
[ -n "$wanted" ] || exit 0

# One query: what is installed, with the names that packages provide (pkg-config is a virtual one since Debian 12).
missing=
# shellcheck disable=SC2016,SC2086 # the braces are dpkg-query's, and the list is a list
here=" $(dpkg-query -W -f '${db:Status-Status}=${Package} ' $wanted 2>/dev/null || true)"
for package in $wanted; do
    case $here in *" installed=$package "*) continue ;; esac
    case " $missing " in *" $package "*) continue ;; esac
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "Some Debian packages are missing. Please run:" >&2
        echo "  sudo apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
fi

# Without an init system, invoke-rc.d would start a package's daemon directly: forbid that for as long as apt runs.
# The guard is only ever our own file, and only where no init could miss it.
guard=/usr/sbin/policy-rc.d
log=$(mktemp)
cleanup() {
    rm -f "$log"
    [ -z "${guarded-}" ] || $as_root rm -f "$guard"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if [ ! -d /run/systemd/system ] && [ ! -e "$guard" ]; then
    guarded=yes
    printf '#!/bin/sh\nexit 101\n' | $as_root sh -c "cat >$guard && chmod 755 $guard"
fi

apt() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -y --no-remove \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 </dev/null
}

echo "Installing Debian packages:$missing" >&2
# shellcheck disable=SC2086 # a list
if ! apt install --no-install-recommends $missing; then
    # The lists may be absent (a bare image) or stale: fetch them and try once more.
    if ! { apt update && apt install --no-install-recommends $missing; }; then
        cat "$log" >&2
        echo "need.sh: apt-get could not install:$missing" >&2
        exit 1
    fi
fi

# Under systemd a package starts its own service: stop those that this run brought in, and keep them from the next boot.
if [ -d /run/systemd/system ]; then
    for package in $missing; do
        case $package in
        haproxy) units=haproxy.service ;;
        nginx) units=nginx.service ;;
        varnish) units="varnish.service varnishncsa.service" ;;
        keepalived) units=keepalived.service ;;
        etcd-server) units=etcd.service ;;
        redis-server) units=redis-server.service ;;
        *) continue ;;
        esac
        # shellcheck disable=SC2086
        $as_root systemctl disable --now $units >/dev/null 2>&1 || true
    done
fi
