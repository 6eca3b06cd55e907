/** A place in a configuration file; both counted from 1. */
export interface SourceLocation {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** Something to be said of a configuration. */
export interface ConfigNotice {
  /** Undefined: of no file in particular. */
  readonly location: SourceLocation | undefined
  /** The key, as in `rc_login.address.per_second` or `listeners[0].port`; empty for whole files. */
  readonly path: string
  readonly message: string
}

/** A configuration that cannot be used: everything that is wrong with it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly issues: readonly ConfigNotice[]

  constructor(issues: readonly ConfigNotice[]) {
    super(issues.map(formatNotice).join('\n'))
    this.issues = issues
  }
}

/** `file:line:column: path: message`, as editors and compilers have it. */
export function formatNotice({ location, path, message }: ConfigNotice): string {
  const parts = [message]
  if (path !== '') parts.unshift(path)
  if (location !== undefined) parts.unshift(`${location.file}:${location.line}:${location.column}`)
  return parts.join(': ')
}

export type KeyPath = readonly (string | number)[]

export function formatPath(path: KeyPath): string {
  return path.reduce<string>(
    (before, key) =>
      typeof key === 'number' ? `${before}[${key}]` : before === '' ? key : `${before}.${key}`,
    '',
  )
}
