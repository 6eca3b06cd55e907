/** The text of an event that is found, by the event's type. */
const TEXTS: Readonly<Record<string, string>> = {
  'm.room.message': 'body',
  'm.room.name': 'name',
  'm.room.topic': 'topic',
}

/** Types of events that have a text by which they are found. */
export const SEARCHABLE_TYPES: readonly string[] = Object.keys(TEXTS)

/** The text by which an event is found; '' when it has none. */
export function searchableText(type: string, content: Readonly<Record<string, unknown>>): string {
  const text = content[TEXTS[type] ?? '']
  return typeof text === 'string' ? text : ''
}
