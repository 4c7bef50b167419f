#!/usr/bin/env bash
# Installs the one system library that no wheel brings on Linux, PortAudio, where it is missing and
# where this user may. Everything but the microphone works without it.
set -u

if [ "$(uname -s)" != "Linux" ]; then
    echo "System libraries: nothing to do on $(uname -s) (the sounddevice wheel brings PortAudio)"
    exit 0
fi
if ldconfig -p 2>/dev/null | grep -q libportaudio; then
    echo "System libraries: PortAudio is there"
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo -n"; else sudo="no"; fi
if ! command -v apt-get >/dev/null || [ "$sudo" = "no" ]; then
    echo "System libraries: PortAudio is missing; for a microphone install it with your package manager"
    echo "  Debian, Ubuntu: sudo apt-get install libportaudio2    Fedora: sudo dnf install portaudio"
    exit 0
fi
echo "System libraries: installing PortAudio (libportaudio2)"
# The package list may be empty on a fresh machine, so it is fetched only when the install fails.
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
$sudo apt-get install -y -qq libportaudio2 >/dev/null 2>&1 ||
    { $sudo apt-get update -qq >/dev/null && $sudo apt-get install -y -qq libportaudio2 >/dev/null; } ||
    echo "System libraries: PortAudio could not be installed; everything but the microphone works"
