import { isScalar, parse, Scalar, visit, type Document } from 'yaml'
import type { KeyPath } from './config-error.js'
import { isSecretPath } from './secret-keys.js'

export interface Interpolation {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Says that a variable is not set, and where in the text. */
  readonly fail: (offset: number, message: string) => void
}

/** `$${NAME}` stands for `${NAME}` itself. Names as the shell has them, in capitals. */
const REFERENCE = /\$?\$\{([A-Z_][A-Z0-9_]*)\}/g
const WHOLE = /^\$\{[A-Z_][A-Z0-9_]*\}$/

/**
 * Puts the values of environment variables in the place of `${NAME}` in the values of a document, never in keys or
 * comments. The result is a text; only a value that is nothing but one reference, without quotes and no secret, counts as
 * if it stood in the file (`port: ${PORT}` is a number). What a variable holds is never looked through again.
 */
export function interpolate(document: Document, { env, fail }: Interpolation): void {
  visit(document, {
    Scalar(position, node, ancestors) {
      if (position === 'key' || typeof node.value !== 'string' || !node.value.includes('${')) return
      const before = node.value
      const isPlain = node.type === Scalar.PLAIN && WHOLE.test(before)
      const after = before.replace(REFERENCE, (reference, name: string) => {
        if (reference.startsWith('$$')) return reference.slice(1)
        const value = env[name]
        if (value !== undefined) return value
        const written = `write $\${${name}} if that is what it should say`
        fail(node.range?.[0] ?? 0, `the environment variable ${name} is not set (${written})`)
        return reference
      })
      node.value = isPlain && after !== before && !isSecretPath(pathOf(ancestors)) ? asYaml(after) : after
    },
  })
}

/** The keys that lead to a value. */
function pathOf(ancestors: readonly unknown[]): KeyPath {
  return ancestors.flatMap((node) => {
    const key = typeof node === 'object' && node !== null && 'key' in node ? node.key : undefined
    return isScalar(key) ? [String(key.value)] : []
  })
}

/** What can be a number, true, false or null: no lists, maps, comments or marks. */
const SIMPLE = /^[\w.+-]+$/

function asYaml(text: string): unknown {
  return SIMPLE.test(text) ? parse(text, { version: '1.1' }) : text
}
