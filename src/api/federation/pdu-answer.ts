import { HttpResponse } from '../../http/responses.js'
import type { Event } from '../../protocol/event.js'
import { pduText } from '../../protocol/pdu.js'
import type { JsonObject } from '../../util/json.js'

/**
 * A JSON object with lists of events in it, which are written with their numbers as they were hashed: in old rooms these
 * are not all numbers that JavaScript can write.
 */
export function pduAnswer(
  lists: Readonly<Record<string, readonly Event[]>>,
  fields: JsonObject = {},
): HttpResponse {
  const members = [
    ...Object.entries(fields).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`),
    ...Object.entries(lists).map(
      ([name, events]) => `${JSON.stringify(name)}:[${events.map(pduText).join(',')}]`,
    ),
  ]
  return new HttpResponse(200, { text: `{${members.join(',')}}` }, { 'Content-Type': 'application/json' })
}
