#!/usr/bin/env bash
# The system part of the project: a Vulkan driver that WebGPU in Node accepts, where there is none.
#
#   tools/setup.sh             a driver: an NVIDIA one, or Mesa 25 or newer (its lavapipe runs on any CPU)
#   tools/setup.sh --browser   besides, Debian's Chromium, for the test in a page
#   tools/setup.sh --slurm     besides, Debian's Slurm, for the tests of job arrays
#
# Prints one line of what it did. Needs root or sudo where something has to be installed.
set -euo pipefail

MESA_WANTED=25

say() { echo "[setup] $*"; }
stop() {
  echo "[setup] $*" >&2
  exit 1
}

browser=no
slurm=no
for argument in "$@"; do
  case "$argument" in
    --browser) browser=yes ;;
    --slurm) slurm=yes ;;
    -h | --help)
      sed -n '2,8s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) stop "unknown option $argument; there are --browser and --slurm" ;;
  esac
done

have() { command -v "$1" > /dev/null 2>&1; }

# Sets `root` to what runs a command as root; says what to type where nothing does.
root=()
need_root() {
  if [ "$(id -u)" -eq 0 ]; then
    root=()
  elif have sudo && { [ -t 0 ] || sudo -n true 2> /dev/null; }; then
    root=(sudo)
  else
    stop "root is needed to install packages; type: sudo $0$options"
  fi
}
options=""
[ "$browser" = no ] || options="$options --browser"
[ "$slurm" = no ] || options="$options --slurm"

apt_log=$(mktemp)
trap 'rm -f "$apt_log"' EXIT

# apt-get, quiet unless it fails.
apt() {
  ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Use-Pty=0 "$@" > "$apt_log" 2>&1 || {
    tail -n 15 "$apt_log" >&2
    stop "apt-get $* failed (above); check the network and the package sources"
  }
}

# Fresh package lists. One unreachable source is no reason to stop: the installation says what it misses.
refresh() { ${root[@]+"${root[@]}"} apt-get -qq update > "$apt_log" 2>&1 || true; }

# Major version of a Debian version string: 1:25.0.7-2~bpo12+1 -> 25
major() { sed -E 's/^[0-9]+://; s/^([0-9]+).*/\1/' <<< "$1"; }

installed_mesa() { dpkg-query -W -f '${db:Status-Abbrev}${Version}\n' mesa-vulkan-drivers 2> /dev/null | sed -n 's/^ii *//p' | head -n 1; }

candidate() { apt-cache policy "$1" 2> /dev/null | sed -n 's/^ *Candidate: //p' | grep -v '(none)' || true; }

# Manifests of the drivers that the Vulkan loader finds.
manifests() {
  local folder
  for folder in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/share/vulkan/icd.d \
    /usr/local/etc/vulkan/icd.d "${XDG_DATA_HOME:-$HOME/.local/share}/vulkan/icd.d"; do
    [ ! -d "$folder" ] || find "$folder" -name '*.json' 2> /dev/null
  done
  [ -z "${VK_ICD_FILENAMES:-}" ] || tr ':' '\n' <<< "$VK_ICD_FILENAMES"
  [ -z "${VK_DRIVER_FILES:-}" ] || tr ':' '\n' <<< "$VK_DRIVER_FILES"
}

has_loader() { ldconfig -p 2> /dev/null | grep -q 'libvulkan\.so\.1' || [ -e /usr/lib/libvulkan.so.1 ]; }

# Prints the driver that is already good enough, if there is one.
present() {
  has_loader || return 0
  local version
  if manifests | grep -qi 'nvidia'; then
    echo "an NVIDIA driver"
  elif have dpkg-query; then
    version=$(installed_mesa)
    if [ -n "$version" ] && [ "$(major "$version")" -ge "$MESA_WANTED" ]; then
      echo "Mesa $version"
    fi
  elif manifests | grep -qE '(lvp|intel|radeon|virtio|nouveau|asahi|freedreno)_icd'; then
    echo "a Mesa driver (its version should be $MESA_WANTED or newer)"
  fi
}

# Adds Debian's backports, from the mirror that the release itself comes from.
add_backports() {
  local release=$1 mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $release" 'Created-By: Packages' 2> /dev/null |
    sed 's,/*$,,' | head -n 1)
  echo "deb ${mirror:-http://deb.debian.org/debian} $release-backports main" |
    ${root[@]+"${root[@]}"} tee /etc/apt/sources.list.d/promptgen-backports.list > /dev/null
  refresh
}

install_driver() {
  have apt-get || stop "install a Vulkan driver (Mesa $MESA_WANTED or newer, with lavapipe) and the Vulkan loader" \
    "with the package manager of this system"
  need_root
  local release version
  release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  refresh
  version=$(candidate mesa-vulkan-drivers)
  if [ -n "$version" ] && [ "$(major "$version")" -ge "$MESA_WANTED" ]; then
    apt install --no-install-recommends mesa-vulkan-drivers libvulkan1
  elif [ "$release" = bookworm ]; then
    apt-cache policy 2> /dev/null | grep -q 'n=bookworm-backports' || add_backports bookworm
    apt install --no-install-recommends -t bookworm-backports mesa-vulkan-drivers
    apt install --no-install-recommends libvulkan1
  else
    stop "this system offers Mesa ${version:-in no version}, $MESA_WANTED or newer is needed;" \
      "use Debian 12 or newer, Ubuntu 24.04 with its updates, or an NVIDIA driver"
  fi
  version=$(installed_mesa)
  [ -n "$version" ] && [ "$(major "$version")" -ge "$MESA_WANTED" ] ||
    stop "Mesa ${version:-} was installed, but $MESA_WANTED or newer is needed; update the package sources"
}

install_browser() {
  have apt-get || stop "install Chromium with the package manager of this system"
  need_root
  refresh
  case "$(candidate chromium)" in
    '' | *snap*) stop "this system has no Chromium package; install Chromium or Chrome by hand" ;;
  esac
  apt install --no-install-recommends chromium
}

install_slurm() {
  have apt-get || stop "install Slurm and MUNGE with the package manager of this system"
  need_root
  refresh
  apt install --no-install-recommends slurm-wlm munge
}

done_line=""
if [ "$(uname -s)" != Linux ]; then
  done_line="nothing to do: this system's own graphics driver is used"
else
  found=$(present)
  if [ -n "$found" ]; then
    done_line="nothing to do: $found is here"
  else
    install_driver
    done_line="installed Mesa $(installed_mesa) (Vulkan on the CPU: lavapipe)"
  fi
fi
if [ "$browser" = yes ]; then
  if have chromium || have chromium-browser || have google-chrome; then
    done_line="$done_line; Chromium is here"
  else
    install_browser
    done_line="$done_line; installed Chromium"
  fi
fi
if [ "$slurm" = yes ]; then
  if [ -x /usr/sbin/slurmctld ] && [ -x /usr/sbin/slurmd ] && [ -x /usr/sbin/munged ] && have sbatch; then
    done_line="$done_line; Slurm is here"
  else
    install_slurm
    done_line="$done_line; installed Slurm"
  fi
fi
say "$done_line"
