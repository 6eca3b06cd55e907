import { route } from '../../http/route.js'
import { invalidParam } from '../../protocol/errors.js'
import { jsonObject } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid */
export const postReceipt = route({
  operationId: 'postReceipt',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/receipt/:receiptType/:eventId',
  auth: 'userOrGuest',
  body: jsonObject,
  emptyBody: true,
  async handler({ params, requester, body }, { receipts, readMarkers }) {
    const { roomId, receiptType, eventId } = params
    const threadId = body['thread_id']
    switch (receiptType) {
      case 'm.read':
      case 'm.read.private':
        await receipts.send(requester, roomId, [{ type: receiptType, eventId, threadId }])
        return {}
      case 'm.fully_read':
        if (threadId !== undefined) throw invalidParam('m.fully_read has no thread')
        await readMarkers.set(requester, roomId, {
          fullyRead: eventId,
          read: undefined,
          readPrivate: undefined,
        })
        return {}
      default:
        throw invalidParam('The type of a receipt is m.read, m.read.private or m.fully_read')
    }
  },
})
