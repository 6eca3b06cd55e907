import { z } from 'zod'
import { route } from '../../http/route.js'
import { identifierBody, toIdentifierWish } from './identifier-body.js'
import { jsonObject, optionalBoolean, optionalString } from './json-object.js'

const stateEvent = z.looseObject({
  type: z.string(),
  state_key: optionalString,
  content: jsonObject,
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3createroom */
export const createRoom = route({
  operationId: 'createRoom',
  method: 'POST',
  path: '/_matrix/client/v3/createRoom',
  auth: 'user',
  rateLimit: 'roomCreation',
  allowNul: true,
  body: z.looseObject({
    visibility: z.enum(['public', 'private']).nullish(),
    preset: z.enum(['private_chat', 'trusted_private_chat', 'public_chat']).nullish(),
    room_version: optionalString,
    room_alias_name: optionalString,
    name: optionalString,
    topic: optionalString,
    invite: z.array(z.string()).nullish(),
    invite_3pid: z.array(identifierBody).nullish(),
    is_direct: optionalBoolean,
    creation_content: jsonObject.nullish(),
    initial_state: z.array(stateEvent).nullish(),
    power_level_content_override: jsonObject.nullish(),
  }),
  async handler({ requester, body }, { roomCreation }) {
    const { roomId } = await roomCreation.create(requester, {
      visibility: body.visibility ?? undefined,
      preset: body.preset ?? undefined,
      roomVersion: body.room_version,
      roomAliasName: body.room_alias_name,
      name: body.name,
      topic: body.topic,
      invite: body.invite ?? [],
      identifiers: (body.invite_3pid ?? []).map(toIdentifierWish),
      isDirect: body.is_direct,
      creationContent: body.creation_content ?? undefined,
      initialState: body.initial_state?.map(({ type, state_key: stateKey = '', content }) => ({
        type,
        stateKey,
        content,
      })),
      powerLevelContentOverride: body.power_level_content_override ?? undefined,
    })
    return { room_id: roomId }
  },
})
