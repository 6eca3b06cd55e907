const NAME = /^[a-z_][a-z0-9_]*$/

/** A table or column name in double quotes. Names come from our own code: anything unusual is a mistake. */
export function quoteName(name: string): string {
  if (!NAME.test(name)) throw new Error(`Not a name of a table or column: ${JSON.stringify(name)}`)
  return `"${name}"`
}

/** Text that a database would refuse or silently change. */
export class UnstorableTextError extends Error {
  override readonly name = 'UnstorableTextError'
}

/**
 * Throws an `UnstorableTextError` for text with a NUL character (PostgreSQL refuses it, SQLite cuts there) or half of a
 * surrogate pair (has no UTF-8 form and would come back as something else).
 */
export function assertStorable(text: string, what: string): void {
  if (text.includes('\0')) throw new UnstorableTextError(`${what} contains a NUL character`)
  if (!text.isWellFormed()) throw new UnstorableTextError(`${what} contains half of a surrogate pair`)
}

/** `$1`, `$2`... for the placeholders, as PostgreSQL wants them. */
export function numberPlaceholders(sql: string): string {
  let count = 0
  return replacePlaceholders(sql, () => `$${++count}`)
}

/**
 * Rewrites `?` placeholders, one after the other, leaving alone those in literals, quoted names and comments. `??`
 * stands for the operator `?` (PostgreSQL's jsonb).
 */
export function replacePlaceholders(sql: string, next: () => string): string {
  return sql.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\?\??/g, (part) => {
    if (part === '?') return next()
    return part === '??' ? '?' : part
  })
}
