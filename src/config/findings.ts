import { ConfigError, formatPath, type ConfigNotice, type KeyPath } from './config-error.js'
import type { ConfigFiles } from './config-files.js'

/** Collects what is found in a configuration, in the order of its files. */
export class Findings {
  readonly #files: ConfigFiles
  readonly #errors: ConfigNotice[] = []
  readonly #warnings: ConfigNotice[] = []

  constructor(files: ConfigFiles) {
    this.#files = files
  }

  get hasErrors(): boolean {
    return this.#errors.length > 0
  }

  get warnings(): readonly ConfigNotice[] {
    return this.#warnings.toSorted(byLocation)
  }

  add(
    kind: 'error' | 'warning',
    location: ConfigNotice['location'],
    { path, message }: { path: KeyPath; message: string },
  ): void {
    const isMissing = path.length > 0 && !Object.hasOwn(this.#files.values, String(path[0]))
    const notice = { location: isMissing ? undefined : location, path: formatPath(path), message }
    if (kind === 'error') this.#errors.push(notice)
    else this.#warnings.push(notice)
  }

  error(): ConfigError {
    return new ConfigError(this.#errors.toSorted(byLocation))
  }
}

function byLocation({ location: a }: ConfigNotice, { location: b }: ConfigNotice): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined)
  if (a.file !== b.file) return 0
  return a.line - b.line || a.column - b.column
}
