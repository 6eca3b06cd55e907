import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The directory of the program's own package.json: the same for the sources and for what is built of them. */
export function packageRoot(): string {
  let directory = import.meta.dirname
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory)
    if (parent === directory) throw new Error('The program has no package.json')
    directory = parent
  }
  return directory
}
