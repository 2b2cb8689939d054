// After npm ci: compiles the CPU kernels where their compiler is installed. Plain JavaScript that an old Node can read;
// it never makes an installation fail.
import("node:fs").then(({ existsSync }) => {
  const [major, minor] = process.versions.node.split(".").map(Number);
  const why = !existsSync(`${__dirname}/../node_modules/assemblyscript`)
    ? "their compiler is a development dependency"
    : major < 22 || (major === 22 && minor < 18)
      ? `this is Node ${process.versions.node}, 22.18 or newer is needed`
      : undefined;
  if (why) {
    console.error(`[prepare] the CPU kernels are not compiled (${why}); npm run kernels does it`);
    return;
  }
  return import("./commands/kernels.ts")
    .then(({ buildKernels }) => buildKernels({ ifNeeded: true }))
    .catch((error) => console.error(error.message));
});
