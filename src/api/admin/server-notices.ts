import { z } from 'zod'
import { invalidParam } from '../../protocol/errors.js'
import { parseUserId } from '../../protocol/ids.js'
import { route, type HandlerInput } from '../../http/route.js'
import type { Services } from '../../services/services.js'
import { jsonObject, optionalString } from '../client/json-object.js'

const noticeBody = z.looseObject({
  user_id: z.string(),
  content: jsonObject,
  type: optionalString,
  state_key: optionalString,
})

type NoticeInput = Pick<HandlerInput<string, 'admin', undefined, z.output<typeof noticeBody>>, 'body'>

/** Tells a user something in the server's name. */
export const sendServerNotice = route({
  operationId: 'adminSendServerNotice',
  method: 'POST',
  path: '/_synapse/admin/v1/send_server_notice',
  auth: 'admin',
  body: noticeBody,
  handler: send,
})

/** The same, once for each transaction. */
export const sendServerNoticeOnce = route({
  operationId: 'adminSendServerNoticeOnce',
  method: 'PUT',
  path: '/_synapse/admin/v1/send_server_notice/:txnId',
  auth: 'admin',
  dedupe: 'txnId',
  body: noticeBody,
  handler: send,
})

async function send({ body }: NoticeInput, { serverNotices }: Services): Promise<unknown> {
  const userId = parseUserId(body.user_id)
  if (userId === undefined) throw invalidParam('user_id is not a user ID')
  const eventId = await serverNotices.send(userId, {
    type: body.type ?? 'm.room.message',
    stateKey: body.state_key,
    content: body.content,
  })
  return { event_id: eventId }
}
