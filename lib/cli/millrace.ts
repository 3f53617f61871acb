#!/usr/bin/env node
/** The bin. Imports nothing itself: on a Node that is too old, loading the rest would fail with a riddle. */

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`millrace: needs Node.js 22.19 or newer, this is ${process.versions.node}\n`);
  process.exit(1);
}

const { main } = await import('./main.ts');
// Not left to the event loop: a kept-alive socket must not hold the shell's prompt back.
process.exit(await main(process.argv.slice(2)));

export {};
