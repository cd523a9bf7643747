#!/usr/bin/env bash
# Prepares the boards that run upstream MicroPython built from Debian's source package:
#
#   qemu     a Cortex-M3 board for qemu-system-arm (--board qemu)
#   unix32   the Unix port as a 32-bit program (name it in MADEM_MICROPYTHON)
#   rp2040   a Raspberry Pi Pico for rp2040py (--board rp2040)
#
# Usage: emulator/prepare/build_micropython.sh [qemu] [unix32] [rp2040]     (default: all)
#
# For Debian 12 or newer on x86-64, as root or with sudo for the missing packages.
# Takes half a minute to three minutes once; a second run finds the results and says so.
# Results: ${MADEM_CACHE:-~/.cache/madem}/micropython/current/{qemu,unix32,rp2040}/
#
# madem's firmware is frozen into all (firmware/manifest.py), where it needs the least heap.
# After a change of it a run takes some seconds: the built source is kept, and only what is
# frozen is compiled again. A board with an older frozen firmware is still good for everything
# but the smallest heaps: `madem deploy` notices, and sends the newer one.
#
# The source package is found on the mirror that apt already uses and verified by apt
# (signed index, SHA-256). Apt's own settings stay as they are: the additional source
# line lives in a private folder. Nothing is written into the repository.
set -euo pipefail
unset MAKEFLAGS MFLAGS CFLAGS CPPFLAGS LDFLAGS CROSS_COMPILE

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Beside emulator/ in a checkout, and among the installed packages otherwise.
for firmware in "$here/../../firmware" "$here/../../madem_firmware"; do
    [[ -f $firmware/manifest.py ]] && break
done
store=$(realpath -m "${MADEM_CACHE:-$HOME/.cache/madem}/micropython")
work=$store/work # for the search and the download
log=$store/build.log

# Debian 13's is the version that madem is tested with; the others are for a mirror
# that has it no more.
suites=(trixie stable forky sid)
oldest=1.25
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
    echo "build_micropython: $*" >&2
    exit 1
}

# Run a step with its output in the log; on failure say which step and where to look.
step() {
    local what=$1
    shift
    echo "build_micropython: $what"
    printf '\n=== %s: %s\n' "$what" "$*" >>"$log"
    "$@" >>"$log" 2>&1 || fail "$what failed: see the end of $log"
}

# What the kept source was built with; a change of it starts anew.
tools() {
    cat "$here/build_micropython.sh" "$here"/{qemu_board,unix32_variant,rp2040_board}/* | sha256sum | cut -d' ' -f1
}

# What a result was built from; a change of it builds again.
recipe() {
    tools
    cat "$firmware"/{manifest.py,madem/*.py} | sha256sum | cut -d' ' -f1
}

is_prepared() {
    [[ $(cat "$store/current/$1/recipe" 2>/dev/null) == "$(recipe)" ]]
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    else
        sudo "$@"
    fi
}

install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
            missing+=("$package")
    done
    [[ ${#missing[@]} == 0 ]] && return
    [[ $(id -u) == 0 ]] || command -v sudo >/dev/null ||
        fail "as root run 'apt-get install ${missing[*]}', then this again"
    step "update apt's lists" as_root apt-get update
    step "install ${missing[*]}" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"
}

# apt-get or apt-cache with folders of its own.
private_apt() {
    local tool=$1
    shift
    "$tool" -q \
        -o "Dir::Etc::sourcelist=$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt" \
        -o "APT::Sandbox::User=$(id -un)" -o Acquire::Retries=2 "$@"
}

# The mirror of this machine's Debian packages, as apt itself understood its settings.
mirror() {
    # shellcheck disable=SC2016  # apt fills these in
    apt-get indextargets --format '$(SITE)|$(LABEL)|$(COMPONENT)' 'Created-By: Packages' |
        awk -F'|' '$2 == "Debian" && $3 == "main" && !found++ { print $1 }'
}

# Sets `version` to the first new enough one that the mirror has.
find_version() {
    local site=$1 suite options="" found
    [[ -r $keyring ]] && options="[signed-by=$keyring] "
    mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial"
    for suite in "${suites[@]}"; do
        echo "deb-src $options$site $suite main" >"$work/apt/sources.list"
        private_apt apt-get update >>"$log" 2>&1 || continue
        found=$(private_apt apt-cache showsrc --only-source micropython 2>>"$log" |
            awk '$1 == "Version:" && !found++ { print $2 }')
        if [[ -n $found ]] && dpkg --compare-versions "$found" ge "$oldest"; then
            version=$found
            return
        fi
    done
    fail "no source package micropython $oldest or newer on $site: see the end of $log"
}

unpack() {
    rm -rf "$work/source"
    (cd "$work" && private_apt apt-get source --download-only "micropython=$version") &&
        # apt has verified the files against the signed index already.
        dpkg-source --no-check -x "$work/micropython_${version#*:}.dsc" "$work/source"
}

# What the Pico needs besides is in packages of its own, not to be installed here: they are of
# another Debian release perhaps.
unpack_pico() {
    sed -i 's/^deb-src\(.*\)/&\ndeb\1/' "$work/apt/sources.list" &&
        private_apt apt-get update &&
        (cd "$work" && private_apt apt-get download pico-sdk-source tinyusb-source) || return
    local package
    for package in pico-sdk tinyusb; do
        dpkg-deb -x "$work/$package-source"_*.deb "$work/pico" &&
            rm -rf "$work/source/lib/$package" &&
            mv "$work/pico/usr/src/$package" "$work/source/lib/$package" || return
    done
}

build_qemu() {
    local port=$source/ports/qemu
    cp -rp "$here/qemu_board/." "$port/boards/MADEM"
    step "build the qemu board" nice make -j"$(nproc)" -C "$port" BOARD=MADEM MICROPY_MANIFEST_MADEM="$firmware"
    cp "$port/build-MADEM/firmware.elf" "$1/firmware.elf"
}

build_unix32() {
    local port=$source/ports/unix
    cp -rp "$here/unix32_variant/." "$port/variants/madem"
    step "build unix32" nice make -j"$(nproc)" -C "$port" VARIANT=madem MICROPY_MANIFEST_MADEM="$firmware"
    cp "$port/build-madem/micropython" "$1/micropython"
}

configure_rp2040() {
    local port=$1 sdk=$2
    # A Pico has no network, and so nothing to encrypt: without mbedTLS, which would be one
    # more package. Nor is there C++ here, whose library is 300 MB.
    sed -i -e 's/^set(MICROPY_SSL_MBEDTLS ON)/set(MICROPY_SSL_MBEDTLS OFF)/' \
        -e '/^ *mbedtls\/mbedtls_port.c$/d' -e '/micropy_lib_mbedtls)$/d' "$port/CMakeLists.txt"
    sed -i -E 's/^(#define MICROPY_(SSL_MBEDTLS|PY_CRYPTOLIB|PY_HASHLIB_SHA1) +)\(1\)/\1(0)/' \
        "$port/mpconfigport.h"
    : >"$sdk/src/rp2_common/pico_cxx_options/new_delete.cpp"
    # The linker of C++ would want that library, and brings the mathematical one.
    cat >>"$port/CMakeLists.txt" <<'END'
set_target_properties(${MICROPY_TARGET} PROPERTIES LINKER_LANGUAGE C)
target_link_libraries(${MICROPY_TARGET} m)
END
    # MicroPython's compiler puts constants between the instructions for a Cortex-M0+, and counts
    # on functions that begin at whole words; its freezer lets them begin at half words.
    sed -i 's/__attribute__ ((aligned (2)))/__attribute__ ((aligned (4)))/' "$source/tools/mpy-tool.py"
    touch "$source/lib/micropython-lib/README.md" # that it is there is all that is asked
    # Without picotool, which makes the UF2 file otherwise: MicroPython's own tool does too.
    step "set the rp2040 board up" cmake -S "$port" -B "$port/build-MADEM" -DPICO_NO_PICOTOOL=1 \
        -DPICO_BUILD_DOCS=0 -DMICROPY_BOARD=MADEM -DMICROPY_BOARD_DIR="$port/boards/MADEM"
}

build_rp2040() {
    local port sdk=$source/lib/pico-sdk
    port=$(realpath "$source/ports/rp2") # CMake keeps to the path that it was first given
    [[ -f $sdk/pico_sdk_init.cmake ]] || fail "the mirror has no pico-sdk or tinyusb: see $log"
    rm -rf "$port/boards/MADEM"
    cp -rp "$here/rp2040_board" "$port/boards/MADEM"
    cp -rp "$firmware" "$port/boards/MADEM/firmware"
    [[ -f $port/build-MADEM/Makefile ]] || configure_rp2040 "$port" "$sdk"
    step "build the rp2040 board" nice make -j"$(nproc)" -C "$port/build-MADEM"
    step "make its UF2 file" python3 "$source/tools/uf2conv.py" --convert --family RP2040 \
        --base 0x10000000 --output "$1/firmware.uf2" "$port/build-MADEM/firmware.bin"
}

boards=("$@")
[[ $# == 0 ]] && boards=(qemu unix32 rp2040)
packages=()
wanted=()
for board in "${boards[@]}"; do
    prepared=no
    if is_prepared "$board"; then
        echo "build_micropython: $board is prepared: $(readlink -f "$store/current/$board")"
        prepared=yes
    fi
    case $prepared,$board in
        yes,qemu) command -v qemu-system-arm >/dev/null || packages+=(qemu-system-arm) ;;
        no,qemu) packages+=(qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi) ;;
        no,unix32) packages+=(gcc-multilib) ;;
        no,rp2040) packages+=(cmake gcc-arm-none-eabi libnewlib-arm-none-eabi) ;;
        yes,unix32 | yes,rp2040) ;;
        *) fail "there is no board '$board': choose qemu, unix32 or rp2040" ;;
    esac
    [[ $prepared == yes ]] || wanted+=("$board")
done
[[ ${#wanted[@]} == 0 && ${#packages[@]} == 0 ]] && exit
firmware=$(realpath "$firmware") || fail "madem's firmware is not beside $here"

for tool in apt-get dpkg-query; do
    command -v $tool >/dev/null || fail "this needs Debian's packages ($tool): run it on Debian"
done
[[ " ${wanted[*]} " != *" unix32 "* || $(dpkg --print-architecture) == amd64 ]] ||
    fail "unix32 needs an x86-64 Debian: run '$0 qemu' for the other board alone"
[[ $store != *[[:space:]]* ]] ||
    fail "make can't build in '$store': name a folder without spaces in MADEM_CACHE"
mkdir -p "$store" 2>/dev/null || fail "$store can't be made: name another folder in MADEM_CACHE"
exec 9>"$store/lock"
flock -n 9 || fail "another run is building in $store: wait for it"
: >"$log"

[[ ${#wanted[@]} == 0 ]] || packages+=(build-essential dpkg-dev python3 pkgconf)
install_packages "${packages[@]}"
[[ ${#wanted[@]} == 0 ]] && exit
rm -rf "$work"
mkdir "$work"
source=$store/current/source
if [[ $(cat "$source/madem-tools" 2>/dev/null) == "$(tools)" ]]; then
    version=$(readlink "$store/current")
else
    site=$(mirror)
    if [[ -z $site ]]; then
        step "update apt's lists" as_root apt-get update
        site=$(mirror)
    fi
    [[ -n $site ]] || fail "apt knows no source of Debian's packages: add one below /etc/apt first"
    echo "build_micropython: look for the source package"
    find_version "$site"
    step "fetch micropython $version" unpack
    # The other boards do without.
    unpack_pico >>"$log" 2>&1 || echo "build_micropython: no pico-sdk or tinyusb: no rp2040"
    rm -rf "$store/$version/source"
    mkdir -p "$store/$version"
    source=$store/$version/source
    mv "$work/source" "$source"
    step "build mpy-cross" nice make -j"$(nproc)" -C "$source/mpy-cross"
    tools >"$source/madem-tools"
fi
for board in "${wanted[@]}"; do
    mkdir "$work/$board"
    recipe >"$work/$board/recipe"
    "build_$board" "$work/$board"
    rm -rf "${store:?}/$version/$board"
    mv "$work/$board" "$store/$version/$board"
    ln -sfn "$version" "$store/current"
    echo "build_micropython: $board is prepared: $store/$version/$board"
done
rm -rf "$work"
