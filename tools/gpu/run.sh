#!/usr/bin/env bash
# On the GPU machine, in the clone with .gpu/ in it:  bash tools/gpu/run.sh PHASE...     results in $OUT/results.tar.gz
#   setup info check step profile gemm skinny matrix rows half torch toggles long test
# DEVICE=gpu:software and TOY=1 try every phase without a GPU, at small sizes. Each part has its own time limit, so that none takes all the
# time; a part that fails does not stop the next. The exit code says whether any failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
DEVICE=${DEVICE:-gpu}
BACK=${OUT:-/tmp/gpurun/out} # one archive comes back, made anew after each part
HOME_DIR=/tmp/gpurun
RESULTS=$HOME_DIR/results
rm -rf "$RESULTS" # of a call before this one
mkdir -p "$RESULTS" "$BACK"
rm -f "$BACK/results.tar.gz"
export PATH=$HOME_DIR/bin:$PATH:/usr/sbin:/sbin PYTHONUNBUFFERED=1 HOME_DIR
failures=0

setup() {
  if [ ! -x "$HOME_DIR/bin/node" ]; then
    mkdir -p "$HOME_DIR/bin"
    python3 - << 'PY'
import lzma, os, shutil
path = os.environ["HOME_DIR"] + "/bin/node"
with lzma.open(".gpu/node.xz") as packed, open(path + ".part", "wb") as node:
    shutil.copyfileobj(packed, node, 1 << 22)
os.chmod(path + ".part", 0o755)
os.rename(path + ".part", path)
PY
  fi
  if [ ! -e node_modules/webgpu ] || [ ! -e kernels/cpu/build ]; then
    python3 -c 'import tarfile; tarfile.open(".gpu/modules.tar.xz").extractall(".")'
  fi
  if ! ldconfig -p | grep -q 'libvulkan\.so\.1'; then
    for deb in .gpu/*.deb; do dpkg -x "$deb" /; done
    ldconfig
  fi
  node --version
  if command -v nvidia-smi > /dev/null; then
    nvidia-smi -L
    nvidia-smi --query-gpu=clocks.sm,clocks.mem,driver_version --format=csv
  fi
}

# where some images keep NVIDIA's Vulkan driver, out of the loader's sight
icd=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
[ ! -e $icd ] || export VK_DRIVER_FILES=$icd

# part SECONDS NAME COMMAND...
part() {
  local limit=$1 name=$2 rc
  shift 2
  echo "== $name ($(date +%T))"
  timeout "$limit" "$@" > "$RESULTS/$name.txt" 2>&1
  rc=$?
  if [ $rc -ne 0 ]; then
    echo "   ended with $rc"
    failures=$((failures + 1))
  fi
  tar -czf "$BACK/results.tar.gz" -C "$RESULTS" .
  grep -v -i '^warning' "$RESULTS/$name.txt" | tail -n "${LINES_SHOWN:-14}" | cut -c1-190
}
# step SECONDS NAME FLAGS...; the last size given counts
step() { part "$1" "$2" node tools/gpu/step.ts --device "$DEVICE" --json "$RESULTS/$2.json" "${@:3}" ${TOY:+--size toy --steps 2}; }
bench() { part "$1" "$2" node tools/gpu/bench.mjs "$3" --json "$RESULTS/$2.json" "${@:4}" ${TOY:+--toy}; }

for phase in "$@"; do
  case $phase in
    setup) part 90 setup_log bash -c "set -e; $(declare -f setup); setup" ;;
    info) LINES_SHOWN=30 bench 60 info info,launch,bandwidth,attention ;;
    check) # does the engine compute on this device what it computes on the CPU?
      part 60 check_cpu node tools/gpu/step.ts --device cpu --size toy --steps 2
      part 90 "check_device" node tools/gpu/step.ts --device "$DEVICE" --size toy --steps 2
      grep -h _report "$RESULTS"/check_cpu.txt "$RESULTS"/check_device.txt ;;
    step)
      step 150 step_full --size full --steps 12
      step 120 step_noattn --size full --steps 8 --attn 0
      step 60 step_slim --size slim --steps 12
      step 60 bert --size full --part bert --steps 20 ;;
    half) # products in f16, with the card's matrix units and without
      step 120 step_half --size full --steps 8 --precision f16
      step 120 step_half_no_units --size full --steps 8 --precision f16 --no-units ;;
    profile) LINES_SHOWN=40 step 120 step_profile --size full --steps 2 --profile ;;
    gemm | skinny | matrix | rows) bench 150 "$phase" "$phase" ;;
    toggles)
      for t in disable_robustness disable_workgroup_init skip_validation; do
        bench 70 "gemm_$t" gemm --toggles "$t"
        DAWN_TOGGLES=$t step 70 "step_$t" --size full --steps 6
      done ;;
    long) step 240 step_long --size full --steps 200 ;;
    torch) LINES_SHOWN=4 part 240 torch python3 tools/gpu/torch_step.py ${TOY:+--toy} ;;
    test) # the test runner needs the compiler of the CPU kernels, which does not travel: the files run by themselves
      LINES_SHOWN=40 part 240 test bash -c 'ls test/ops/*.test.ts test/webgpu/*.test.ts test/engine/*.test.ts test/models/{bart,bert,gpt2,roberta,dropout}.test.ts test/promptgen/{methods/promptgen/step,training/steady}.test.ts |
        PROMPTGEN_TEST_DEVICES='"$DEVICE"' xargs -P 6 -I{} sh -c "timeout 100 node {} > '"$RESULTS"'/\$(basename {}).log 2>&1 && echo ok {} || echo FAILED {}" | sort' ;;
    *)
      echo "unknown phase $phase"
      failures=$((failures + 1)) ;;
  esac
done
[ $failures -eq 0 ]
