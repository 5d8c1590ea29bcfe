// Prints a name for the files of a project: the same for the same files, and another
// one after any change. What is installed or built before is no part of it.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

const [root, salt, ...built] = process.argv.slice(2)
const hash = createHash('sha256').update(salt)

function add(dir, name) {
  const entries = readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    const path = join(dir, entry.name)
    const inside = `${name}/${entry.name}`
    if (entry.name === 'node_modules' || built.includes(inside.slice(1))) continue
    if (entry.isDirectory()) add(path, inside)
    else {
      const content = entry.isSymbolicLink() ? Buffer.from(readlinkSync(path)) : entry.isFile() ? readFileSync(path) : Buffer.alloc(0)
      hash.update(`\0${inside}\0${entry.isSymbolicLink()}\0${content.length}\0`).update(content)
    }
  }
}

add(root, '')
// A letter first: some read digits alone as a number.
console.log('b' + hash.digest('hex').slice(0, 20))
