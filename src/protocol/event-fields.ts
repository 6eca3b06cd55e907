import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'

/** The names on the way to a property, outermost first. */
export type FieldPath = readonly string[]

/**
 * Reads a dot-separated property path; a backslash takes the meaning from a dot or backslash after it.
 * https://spec.matrix.org/latest/appendices/#dot-separated-property-paths
 */
export function parseFieldPath(text: string): FieldPath {
  const path: string[] = []
  let name = ''
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index)
    const next = text.charAt(index + 1)
    if (character === '\\' && (next === '.' || next === '\\')) {
      name += next
      index++
    } else if (character === '.') {
      path.push(name)
      name = ''
    } else {
      name += character
    }
  }
  return [...path, name]
}

/** An event with only those properties that the paths name. Paths that lead nowhere do no harm. */
export function selectFields(event: JsonObject, paths: readonly FieldPath[]): JsonObject {
  const selected: JsonObject = {}
  for (const path of paths) copyPath(event, selected, path)
  return selected
}

function copyPath(from: JsonObject, to: JsonObject, path: FieldPath): void {
  const value = valueAt(from, path)
  const last = path.at(-1)
  if (value === undefined || last === undefined) return
  let target = to
  for (const name of path.slice(0, -1)) {
    const existing = Object.hasOwn(target, name) ? target[name] : undefined
    if (isJsonObject(existing)) target = existing
    else target = define(target, name, {})
  }
  // A copy, since a longer path may add to it and the event is shared.
  define(target, last, structuredClone(value))
}

function valueAt(from: JsonObject, path: FieldPath): JsonValue | undefined {
  let value: JsonValue | undefined = from
  for (const name of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, name)) return undefined
    value = value[name]
  }
  return value
}

/** A plain property even where the name is `__proto__`. */
function define<T extends JsonValue>(target: JsonObject, name: string, value: T): T {
  Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true })
  return value
}
