import { z } from 'zod'
import { route } from '../../http/route.js'
import { invalidParam } from '../../protocol/errors.js'
import { parseEventId, type EventId } from '../../protocol/ids.js'
import { optionalString } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidread_markers */
export const setReadMarker = route({
  operationId: 'setReadMarker',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/read_markers',
  auth: 'userOrGuest',
  body: z.looseObject({
    'm.fully_read': optionalString,
    'm.read': optionalString,
    'm.read.private': optionalString,
  }),
  async handler({ params, requester, body }, { readMarkers }) {
    await readMarkers.set(requester, params.roomId, {
      fullyRead: eventIdOf(body['m.fully_read']),
      read: eventIdOf(body['m.read']),
      readPrivate: eventIdOf(body['m.read.private']),
    })
    return {}
  },
})

function eventIdOf(text: string | undefined): EventId | undefined {
  if (text === undefined) return undefined
  const eventId = parseEventId(text)
  if (eventId === undefined) throw invalidParam('Not an event ID')
  return eventId
}
