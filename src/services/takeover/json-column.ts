import { textOf } from '../../storage/synapse/rows.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

/** The object in a column of JSON; undefined for what is none. */
export function objectOf(value: unknown): JsonObject | undefined {
  const text = textOf(value)
  if (text === undefined) return undefined
  try {
    const parsed: unknown = JSON.parse(text)
    return isJsonObject(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}
