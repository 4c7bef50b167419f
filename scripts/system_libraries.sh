#!/usr/bin/env bash
# Installs the system libraries that no wheel brings on Linux, where they are missing and where this
# user may: PortAudio for the microphone, and what Qt needs for the window. Everything else works
# without them.
set -u

if [ "$(uname -s)" != "Linux" ]; then
    echo "System libraries: nothing to do on $(uname -s) (the wheels bring theirs)"
    exit 0
fi

# Library, its package in Debian and Ubuntu, what it is for.
WANTED="
libportaudio.so.2 libportaudio2
libEGL.so.1 libegl1
libGL.so.1 libgl1
libfontconfig.so.1 libfontconfig1
libdbus-1.so.3 libdbus-1-3
libglib-2.0.so.0 libglib2.0-0
libxkbcommon.so.0 libxkbcommon0
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libX11-xcb.so.1 libx11-xcb1
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-xkb.so.1 libxcb-xkb1
"
known=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null)
packages=""
missing=""
while read -r library package; do
    [ -z "$library" ] && continue
    case "$known" in
        *"$library"*) ;;
        *) packages="$packages $package"; missing="$missing $library" ;;
    esac
done <<<"$WANTED"

if [ -z "$packages" ]; then
    echo "System libraries: PortAudio and what Qt needs are there"
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo -n"; else sudo="no"; fi
if ! command -v apt-get >/dev/null || [ "$sudo" = "no" ]; then
    echo "System libraries: missing:$missing"
    echo "  They are for the microphone and the window; install them with your package manager."
    echo "  Debian, Ubuntu: sudo apt-get install$packages"
    exit 0
fi
echo "System libraries: installing$packages"
export DEBIAN_FRONTEND=noninteractive
# The package list may be empty on a fresh machine, so it is fetched only when the install fails.
# shellcheck disable=SC2086 - the packages are words
$sudo apt-get install -y -qq $packages >/dev/null 2>&1 ||
    { $sudo apt-get update -qq >/dev/null && $sudo apt-get install -y -qq $packages >/dev/null; } ||
    echo "System libraries: some could not be installed:$missing (for the microphone and the window)"
