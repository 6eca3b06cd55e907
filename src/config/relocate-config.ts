import { basename, extname, join } from 'node:path'
import { isJsonObject, type JsonObject } from '../util/json.js'
import type { BundledFile } from './config-bundle.js'
import { ConfigEditor, ownerOf } from './config-editor.js'

export interface RelocatedFile {
  /** Absolute. */
  readonly path: string
  readonly content: Buffer
  readonly mode: number
}

export interface Relocation {
  /** Absolute; everything comes to lie in it. */
  readonly directory: string
  readonly serverName: string
  /** In the place of the database that the files name; without it, only one of SQLite moves. */
  readonly database?: { readonly name: 'sqlite3' | 'psycopg2'; readonly args: JsonObject } | undefined
}

export interface RelocatedConfig {
  readonly files: readonly RelocatedFile[]
  /** What to start a server with. */
  readonly paths: readonly string[]
}

const MAIN_FILE = 'homeserver.yaml'
/** Where several files make a configuration. */
const MAIN_DIRECTORY = 'homeserver.d'

/**
 * The files of a configuration as they have to be to lie in another directory, together with the data: what they name is
 * there too, and so are the database (of SQLite), the media store, the log and what else the server writes. Listeners
 * and further stores of files stay what they are.
 */
export function relocateConfig(files: readonly BundledFile[], relocation: Relocation): RelocatedConfig {
  const { directory } = relocation
  const names = new Names()
  const mains = files.filter(({ role }) => role === 'main')
  const isOne = mains.length === 1
  const editors = mains.map(({ path, content }, index) => {
    const name = isOne
      ? MAIN_FILE
      : join(MAIN_DIRECTORY, `${String(index).padStart(2, '0')}-${basename(path)}`)
    names.take(name)
    return new ConfigEditor(join(directory, name), content.toString('utf8'))
  })
  const main = isOne ? join(directory, MAIN_FILE) : join(directory, MAIN_DIRECTORY)
  const configDir = isOne ? directory : main
  const named = files
    .filter(({ role }) => role !== 'main')
    .map((file): RelocatedFile => {
      const path =
        file.role === 'signing-key'
          ? join(configDir, `${relocation.serverName}.signing.key`)
          : join(directory, names.placeOf(file))
      const target = file.within === undefined ? path : join(directory, names.placeOfDirectory(file.within))
      for (const key of file.keys) ownerOf(editors, key[0]!).set(key, target)
      const isLog = file.keys.some(([key]) => key === 'log_config')
      const content = isLog ? relocateLog(path, file.content, directory) : file.content
      return { path, content, mode: file.mode }
    })
  moveData(editors, relocation)
  return {
    files: [
      ...named,
      ...editors.map((editor, index): RelocatedFile => ({
        path: editor.file,
        content: Buffer.from(editor.toString()),
        mode: mains[index]!.mode,
      })),
    ],
    paths: [main],
  }
}

function moveData(editors: readonly ConfigEditor[], { directory, database }: Relocation): void {
  const set = (path: readonly string[], value: string): void => ownerOf(editors, path[0]!).set(path, value)
  const has = (key: string): boolean => ownerOf(editors, key).get([key]) !== undefined
  set(['media_store_path'], join(directory, 'media_store'))
  if (has('pid_file')) set(['pid_file'], join(directory, 'homeserver.pid'))
  if (typeof ownerOf(editors, 'control_socket').get(['control_socket']) === 'string') {
    ownerOf(editors, 'control_socket').delete(['control_socket'])
  }
  const owner = ownerOf(editors, 'database')
  if (database !== undefined) owner.set(['database'], { name: database.name, args: database.args })
  else if ((owner.get(['database', 'name']) ?? 'sqlite3') === 'sqlite3') {
    owner.set(['database', 'args', 'database'], join(directory, 'homeserver.db'))
  }
}

/** Both kinds of files: our own with `file`, and dictionaries for Python's logging with handlers that have `filename`. */
function relocateLog(path: string, content: Buffer, directory: string): Buffer {
  const editor = new ConfigEditor(path, content.toString('utf8'))
  const move = (key: readonly string[]): void => {
    const file = editor.get(key)
    if (typeof file === 'string') editor.set(key, join(directory, basename(file)))
  }
  move(['file'])
  const handlers = editor.get(['handlers'])
  if (isJsonObject(handlers)) for (const name of Object.keys(handlers)) move(['handlers', name, 'filename'])
  return Buffer.from(editor.toString())
}

/** Hands out names in one directory: of files that had the same name in different ones, each gets its own. */
class Names {
  readonly #taken = new Set<string>()
  readonly #directories = new Map<string, string>()

  take(wanted: string): string {
    const name = /^\.{0,2}$/.test(wanted) ? 'file' : wanted
    const extension = extname(name)
    const stem = name.slice(0, name.length - extension.length)
    let free = name
    for (let count = 2; this.#taken.has(free); count++) free = `${stem}-${count}${extension}`
    this.#taken.add(free)
    return free
  }

  placeOf({ path, within }: BundledFile): string {
    const name = basename(path)
    return within === undefined ? this.take(name) : join(this.placeOfDirectory(within), name)
  }

  placeOfDirectory(path: string): string {
    const known = this.#directories.get(path) ?? this.take(basename(path))
    this.#directories.set(path, known)
    return known
  }
}
