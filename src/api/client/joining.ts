import { z } from 'zod'
import { route } from '../../http/route.js'
import type { JoinWish } from '../../services/rooms/membership-wishes.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { jsonObject, optionalString } from './json-object.js'
import { viaOf, viaQuery } from './via-query.js'

/** What is not named here goes into the membership. */
const joinBody = z.looseObject({
  reason: optionalString,
  third_party_signed: jsonObject.nullish(),
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidjoin */
export const joinRoomById = route({
  operationId: 'joinRoomById',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/join',
  auth: 'userOrGuest',
  allowNul: true,
  emptyBody: true,
  body: joinBody,
  async handler({ params, requester, body }, { roomMembership }) {
    await roomMembership.join(requester, params.roomId, toWish(body))
    return { room_id: params.roomId }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3joinroomidoralias */
export const joinRoom = route({
  operationId: 'joinRoom',
  method: 'POST',
  path: '/_matrix/client/v3/join/:roomIdOrAlias',
  auth: 'userOrGuest',
  allowNul: true,
  emptyBody: true,
  query: viaQuery,
  body: joinBody,
  async handler({ params, requester, query, body }, { roomMembership }) {
    const { roomId, servers } = await roomMembership.findRoom(params.roomIdOrAlias)
    const via = [...viaOf(query), ...servers]
    await roomMembership.join(requester, roomId, { ...toWish(body), via })
    return { room_id: roomId }
  },
})

function toWish(body: z.output<typeof joinBody>): JoinWish {
  const given = Object.entries(body).filter(([, value]) => value !== undefined)
  const signed = body.third_party_signed
  return {
    content: Object.fromEntries(given) as JsonObject,
    thirdPartySigned: isJsonObject(signed) ? signed : undefined,
  }
}
