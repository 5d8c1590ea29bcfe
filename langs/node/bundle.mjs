// Bundles a program with esbuild and says where computed requires are in the way.
import { createRequire } from 'node:module'

const [program, entry, outfile, format, target, allowed] = process.argv.slice(2)
const esbuild = createRequire(program)('esbuild')
const accepted = JSON.parse(allowed)
const options = {
  entryPoints: [entry], outfile, format, target, bundle: true, platform: 'node', logLevel: 'silent', absWorkingDir: process.cwd(),
  minifySyntax: true, minifyWhitespace: true, keepNames: true, legalComments: 'eof',
  banner: format === 'esm'
    ? { js: "import{createRequire as __require}from'node:module';import{fileURLToPath as __path}from'node:url';import{dirname as __dir}from'node:path';const require=__require(import.meta.url),__filename=__path(import.meta.url),__dirname=__dir(__filename);" }
    : {},
}
const computed = ['unsupported-require-call', 'indirect-require', 'unsupported-dynamic-import']

async function build(level) {
  try {
    return await esbuild.build({ ...options, logOverride: Object.fromEntries(computed.map((id) => [id, level])) })
  } catch (error) {
    if (!error.errors) throw error
    return error
  }
}

const inPackage = (file, name) => file.includes(`node_modules/${name}/`)
let result = await build('error')
let errors = result.errors.filter((e) => !(computed.includes(e.id) && accepted.some((name) => inPackage(e.location?.file ?? '', name))))
if (result.errors.length > 0 && errors.length === 0) {
  result = await build('silent')
  errors = result.errors
}
if (errors.length > 0) {
  for (const text of await esbuild.formatMessages(errors.slice(0, 20), { kind: 'error' })) process.stderr.write(text)
  const names = [...new Set(errors.filter((e) => computed.includes(e.id)).map((e) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(e.location?.file ?? '')?.[1]).filter(Boolean))]
  if (names.length > 0) {
    process.stderr.write(`What is required by a computed name is not in the bundle. If the program never gets there, write:\nbuild:\n  bundle: [${[...accepted, ...names].map((n) => JSON.stringify(n)).join(', ')}]\n`)
  }
  process.exit(1)
}
