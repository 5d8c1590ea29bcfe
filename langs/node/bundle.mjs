// Bundles a program with esbuild and says what is in the way: names that are computed,
// and files that a package looks for beside its own.
import { createRequire } from 'node:module'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, extname, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const [program, settings] = process.argv.slice(2)
const esbuild = createRequire(program)('esbuild')
const { entry, outfile, format, target, maps, accepted, root, app, ships } = JSON.parse(settings)
const computed = ['unsupported-require-call', 'indirect-require', 'unsupported-dynamic-import']
const loaders = { '.jsx': 'jsx', '.ts': 'ts', '.mts': 'ts', '.cts': 'ts', '.tsx': 'tsx' }

// Files that ask where they are, and the place where the first of them asks.
const asking = new Map()

// Modules are told the place that they would have in the image, so that what they
// read beside them is found if it is there. The program itself is where it was.
const places = {
  name: 'places',
  setup (build) {
    build.onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8')
      const word = /\b__dirname\b|\b__filename\b|\bimport\.meta\.(?:url|dirname|filename|main)\b|\brequire\.main\b/
      if (!word.test(text)) return
      const loader = loaders[extname(path)] ?? 'js'
      const file = app + path.slice(root.length)
      const own = path === entry
      const marks = { __dirname: '__asks_dirname', __filename: '__asks_filename', 'import.meta.url': '__asks_url', 'import.meta.dirname': '__asks_dirname', 'import.meta.filename': '__asks_filename' }
      const marked = (await esbuild.transform(text, { loader, define: marks, logLevel: 'silent' })).code
      if (/\b__asks_(?:dirname|filename|url)\b/.test(marked)) asking.set(path, position(text, /\b__dirname\b|\b__filename\b|\bimport\.meta\.(?:url|dirname|filename)\b/))
      const define = own
        ? { 'require.main': format === 'cjs' ? 'module' : 'require.main' }
        : {
            __dirname: JSON.stringify(dirname(file)), __filename: JSON.stringify(file), 'import.meta.url': JSON.stringify(pathToFileURL(file).href),
            'import.meta.dirname': JSON.stringify(dirname(file)), 'import.meta.filename': JSON.stringify(file), 'import.meta.main': 'false',
          }
      const { code } = await esbuild.transform(text, { loader, define, sourcefile: path, sourcemap: maps ? 'inline' : false, sourcesContent: false, logLevel: 'silent' })
      return { contents: code, loader: 'js' }
    })
  },
}

// position is the first place of a word outside of comments.
function position (text, word) {
  const lines = text.split('\n')
  for (const [i, line] of lines.entries()) {
    const m = word.exec(line)
    if (m && !/^\s*(\/\/|\*|\/\*)/.test(line)) return { line: i + 1, column: m.index, length: m[0].length, lineText: line, what: m[0] }
  }
  return { line: 1, column: 0, length: 0, lineText: lines[0], what: 'it' }
}

const options = {
  entryPoints: [entry], outfile, format, target, bundle: true, platform: 'node', logLevel: 'silent', absWorkingDir: process.cwd(), metafile: true,
  minifySyntax: true, minifyWhitespace: true, keepNames: true, legalComments: 'eof', plugins: [places],
  sourcemap: maps ? 'linked' : false, sourcesContent: false,
  // Packages in CommonJS require what Node has in it.
  banner: format === 'esm' ? { js: "import{createRequire as __birdhouseRequire}from'node:module';const require=__birdhouseRequire(import.meta.url);" } : {},
}

async function build (level) {
  asking.clear()
  try {
    return await esbuild.build({ ...options, logOverride: Object.fromEntries(computed.map((id) => [id, level])) })
  } catch (error) {
    if (!error.errors) throw error
    return error
  }
}

const packageOf = (file) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file ?? '')?.[1]
const isAccepted = (file) => accepted.includes(packageOf(file))
let result = await build('error')
let errors = result.errors.filter((e) => !(computed.includes(e.id) && isAccepted(e.location?.file)))
if (result.errors.length > 0 && errors.length === 0) {
  result = await build('silent')
  errors = result.errors
}
const warnings = []
const used = new Set(Object.values(result.metafile?.outputs ?? {}).flatMap((o) => Object.entries(o.inputs).filter(([, i]) => i.bytesInOutput > 0).map(([name]) => name)))
for (const [path, { what, ...place }] of [...asking].sort()) {
  const file = relative(process.cwd(), path)
  // Which files are in the bundle is only known when there is one.
  if (result.metafile && !used.has(file) || isAccepted(path)) continue
  const location = { file, namespace: '', suggestion: '', ...place }
  if (packageOf(path)) {
    errors.push({ id: 'place', text: `"${what}" looks for files of the package, which are not in the bundle`, location })
  } else if (!ships) {
    warnings.push({ text: `What is read by "${what}" is not in the bundle: build.output names the files, or copy adds them`, location })
  }
}
for (const text of await esbuild.formatMessages(warnings.slice(0, 20), { kind: 'warning' })) process.stderr.write(text)
if (errors.length > 0) {
  for (const text of await esbuild.formatMessages(errors.slice(0, 20), { kind: 'error' })) process.stderr.write(text)
  const names = [...new Set(errors.filter((e) => e.id === 'place' || computed.includes(e.id)).map((e) => packageOf(e.location?.file)).filter(Boolean))]
  if (names.length > 0) {
    process.stderr.write(`If the program never gets there, write:\nbuild:\n  bundle: [${[...accepted, ...names].map((n) => JSON.stringify(n)).join(', ')}]\n`)
  }
  process.exit(1)
}
if (maps) {
  const map = JSON.parse(await readFile(outfile + '.map', 'utf8'))
  map.sources = map.sources.map((name) => app + resolve(dirname(outfile), name).slice(root.length))
  await writeFile(outfile + '.map', JSON.stringify(map))
}
