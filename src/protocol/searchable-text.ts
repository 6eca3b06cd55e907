import { isJsonObject, type JsonObject } from '../util/json.js'

/** The text of an event that is found, by the event's type. */
const TEXTS: Readonly<Record<string, (content: Readonly<Record<string, unknown>>) => unknown>> = {
  'm.room.message': ({ body }) => body,
  'm.room.name': ({ name }) => name,
  'm.room.topic': topicText,
}

/** Types of events that have a text by which they are found. */
export const SEARCHABLE_TYPES: readonly string[] = Object.keys(TEXTS)

/**
 * The text by which an event is found; '' when it has none.
 * https://spec.matrix.org/latest/client-server-api/#room_events
 */
export function searchableText(type: string, content: Readonly<Record<string, unknown>>): string {
  const text = Object.hasOwn(TEXTS, type) ? TEXTS[type]?.(content) : undefined
  return typeof text === 'string' ? text : ''
}

/** The topic and its plain representation, which says the same where both are there but may stand alone. */
function topicText({ topic, 'm.topic': block }: Readonly<Record<string, unknown>>): string {
  const plain = isJsonObject(block) ? plainTextOf(block) : undefined
  const texts = [topic, plain].filter((text): text is string => typeof text === 'string')
  return [...new Set(texts)].join('\n')
}

/** https://spec.matrix.org/latest/client-server-api/#mtext-content-block */
function plainTextOf(block: JsonObject): unknown {
  const representations = block['m.text']
  if (!Array.isArray(representations)) return undefined
  const plain = representations
    .filter(isJsonObject)
    .find(({ mimetype = 'text/plain' }) => mimetype === 'text/plain')
  return plain?.['body']
}
