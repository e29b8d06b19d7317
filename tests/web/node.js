// The WebAssembly build under Node: it loads, and it is the build that the native tests describe.
// usage: node node.js MODULE.js VERSION SEED=HASH...
"use strict";

const [path, version, ...worlds] = process.argv.slice(2);
const ottla = require(path);

let failed = 0;
function check(name, got, wanted) {
  const passed = got === wanted;
  failed += passed ? 0 : 1;
  console.log(passed ? `PASS ${name}` : `FAIL ${name} got ${got}, wanted ${wanted}`);
}

check("version", ottla.version(), version);
for (const world of worlds) {
  const [seed, hash] = world.split("=");
  check(`seed_${seed}`, ottla.run_seed(BigInt(seed)), hash);
}
check("worlds", worlds.length > 0, true);
process.exit(failed === 0 ? 0 : 1);
