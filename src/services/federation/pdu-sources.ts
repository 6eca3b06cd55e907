import { canonicalJson, hasOnlyIntegers } from '../../protocol/canonical-json.js'
import { ExactNumber, parseExactJson } from '../../protocol/exact-json.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

/** A body or an answer with the text that it was read from. */
export interface JsonWithText {
  readonly json: JsonObject
  readonly text: string
}

/**
 * The PDUs in lists of a body, in the form in which `parseEvent` takes them: objects, or the text of each where some
 * number of the body is not what `JSON.parse` makes of it.
 */
export function pdusOf({ json, text }: JsonWithText, ...lists: readonly string[]): unknown[] {
  const isExact = hasOnlyIntegers(text)
  const source: unknown = isExact ? json : parseExactJson(text)
  if (!isJsonObject(source)) return []
  const pdus = lists.flatMap((name) => {
    const list = source[name]
    return Array.isArray(list) ? list : []
  })
  // What is no object is none in any form: a text among them is not that of one.
  const objects = pdus.map((pdu) => (isJsonObject(pdu) && !(pdu instanceof ExactNumber) ? pdu : undefined))
  return isExact ? objects : objects.map(textOf)
}

/** What has no canonical form is no event either. */
function textOf(pdu: JsonObject | undefined): string | undefined {
  if (pdu === undefined) return undefined
  try {
    return canonicalJson(pdu)
  } catch {
    return undefined
  }
}
