import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { ConfigError, type ConfigNotice, type KeyPath, type SourceLocation } from './config-error.js'
import type { Interpolation } from './interpolation.js'
import { YamlSource } from './yaml-source.js'

/** Several files read as one: of a top-level key that is in more than one, the last counts, as a whole. */
export class ConfigFiles {
  readonly values: JsonObject = {}
  readonly #owners = new Map<string, YamlSource>()
  readonly #moved = new Map<string, KeyPath>()
  readonly #first: YamlSource | undefined

  constructor(sources: readonly YamlSource[]) {
    this.#first = sources[0]
    for (const source of sources) {
      for (const [key, value] of Object.entries(source.values)) {
        this.values[key] = value
        this.#owners.set(key, source)
      }
    }
  }

  /** Has a value stand where it is read: `key`, at the top. Its old place is gone with all that is in it. */
  move(from: KeyPath, key: string): void {
    const value = from.reduce<JsonValue | undefined>(
      (at, name) => (isJsonObject(at) ? at[String(name)] : undefined),
      this.values,
    )
    if (value === undefined) return
    Reflect.deleteProperty(this.values, String(from[0]))
    this.values[key] = value
    this.#moved.set(key, from)
  }

  /** Where the value with this path is, in the file that it comes from. */
  locate(path: KeyPath): SourceLocation | undefined {
    const written = this.#written(path)
    return this.#owner(written)?.locate(written)
  }

  /** Where the key is. */
  locateKey(path: KeyPath): SourceLocation | undefined {
    const written = this.#written(path)
    return this.#owner(written)?.locateKey(written)
  }

  #written(path: KeyPath): KeyPath {
    const from = this.#moved.get(String(path[0]))
    return from === undefined ? path : [...from, ...path.slice(1)]
  }

  #owner([key]: KeyPath): YamlSource | undefined {
    return this.#owners.get(String(key)) ?? this.#first
  }
}

/**
 * Reads files, and of directories all that end with `.yaml`, in the order of their names. Throws a `ConfigError` with
 * all that cannot be read or is no YAML. `env`: what `${NAME}` in values may stand for.
 */
export async function readConfigFiles(
  paths: readonly string[],
  env?: Interpolation['env'],
): Promise<ConfigFiles> {
  const sources: YamlSource[] = []
  const issues: ConfigNotice[] = []
  for (const path of paths) {
    try {
      for (const file of await configFilesAt(path)) {
        sources.push(new YamlSource(file, await readFile(file, 'utf8'), env))
      }
    } catch (error) {
      if (error instanceof ConfigError) issues.push(...error.issues)
      else issues.push({ location: undefined, path: '', message: cannotRead(path, error) })
    }
  }
  if (issues.length > 0) throw new ConfigError(issues)
  return new ConfigFiles(sources)
}

/** The file itself, or of a directory all that end with `.yaml`, by their names. Throws as `readdir` does. */
export async function configFilesAt(path: string): Promise<readonly string[]> {
  if (!(await stat(path)).isDirectory()) return [path]
  const names = (await readdir(path)).filter((name) => name.endsWith('.yaml')).sort()
  return names.map((name) => join(path, name))
}

function cannotRead(path: string, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return `${path}: there is no such file`
  if (code === 'EACCES') return `${path}: permission denied`
  return `${path}: ${message}`
}
