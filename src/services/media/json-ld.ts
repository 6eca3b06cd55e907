import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'

/** What structured data says of a page. */
export interface LinkedData {
  readonly title: string | undefined
  readonly description: string | undefined
  readonly image: string | undefined
}

/** Larger ones are left alone. */
const MAX_SCRIPT_LENGTH = 200_000

/** What the scripts of type `application/ld+json` say, the first that says anything. https://www.w3.org/TR/json-ld11/ */
export function readJsonLd(scripts: readonly string[]): LinkedData {
  const things = scripts.flatMap(thingsIn)
  const first = (...names: readonly string[]): string | undefined =>
    things.flatMap((thing) => names.map((name) => textOf(thing[name]))).find((text) => text !== undefined)
  return {
    title: first('headline', 'name'),
    description: first('description'),
    image: first('image', 'thumbnailUrl'),
  }
}

function thingsIn(script: string): JsonObject[] {
  if (script.length > MAX_SCRIPT_LENGTH) return []
  try {
    const json = JSON.parse(script) as JsonValue
    const graph = isJsonObject(json) && Array.isArray(json['@graph']) ? json['@graph'] : json
    return (Array.isArray(graph) ? graph : [graph]).filter(isJsonObject)
  } catch {
    return []
  }
}

/** A text, the first of several, or where a thing says that it is. */
function textOf(value: JsonValue | undefined): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value
  if (Array.isArray(value)) return textOf(value[0])
  return isJsonObject(value) ? textOf(value['url']) : undefined
}
