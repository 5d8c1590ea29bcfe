// Uses what the images "node:V-build" and, with the folder of an addon as its
// second argument, "node:V-build-full" have: npm, a shell for its scripts, git,
// and what builds native parts of packages. The first argument is the version of
// Node that is wanted.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [version, addon] = process.argv.slice(2);
const run = (cwd, ...args) => execFileSync(args[0], args.slice(1), { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();

assert.equal(process.versions.node.split('.')[0], version);

mkdirSync('/tmp/package');
run('/tmp/package', 'npm', 'init', '--yes');
const manifest = JSON.parse(readFileSync('/tmp/package/package.json', 'utf8'));
manifest.scripts = { build: 'echo "$npm_lifecycle_event by $npm_config_user_agent" | tee out.txt' };
writeFileSync('/tmp/package/package.json', JSON.stringify(manifest));
run('/tmp/package', 'npm', 'run', 'build');
assert.match(readFileSync('/tmp/package/out.txt', 'utf8'), new RegExp(`^build by npm/[0-9.]+ node/v${version}\\.`));
assert.match(run('/tmp/package', 'npm', 'pack'), /package-1\.0\.0\.tgz$/);
assert.match(run('/tmp/package', 'npx', '--version'), /^[0-9.]+$/);

if (addon) {
  assert.match(run('/tmp', 'git', '--version'), /^git version/);
  mkdirSync('/tmp/addon');
  for (const file of ['addon.c', 'binding.gyp']) copyFileSync(`${addon}/${file}`, `/tmp/addon/${file}`);
  // npm does this by itself for a package that has a binding.gyp.
  writeFileSync('/tmp/addon/package.json', JSON.stringify({ name: 'addon', version: '1.0.0', gypfile: true, scripts: { install: 'node-gyp rebuild' } }));
  run('/tmp/addon', 'npm', 'run', 'install');
  assert.equal(createRequire(import.meta.url)('/tmp/addon/build/Release/addon.node').answer(), 42);
}
console.log('everything works');
