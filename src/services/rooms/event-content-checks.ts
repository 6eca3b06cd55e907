import { badJson } from '../../protocol/errors.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'

/**
 * What nobody could show, or notify anybody by, is a client's mistake, told before it is sent: messages without text,
 * names and topics that are none, mentions of nobody. What is missing from a state event takes it away, and may.
 * Throws `M_BAD_JSON`. https://spec.matrix.org/latest/client-server-api/#instant-messaging
 */
export function checkEventContent(type: string, content: JsonObject): void {
  if (type === 'm.room.message') for (const key of ['msgtype', 'body']) requireText(content, key)
  if (type === 'm.room.name' && isSet(content['name'])) requireText(content, 'name')
  if (type === 'm.room.topic' && isSet(content['topic'])) requireText(content, 'topic')
  const mentions = content['m.mentions']
  if (mentions !== undefined) checkMentions(mentions)
}

/** https://spec.matrix.org/latest/client-server-api/#user-and-room-mentions */
function checkMentions(mentions: JsonValue): void {
  if (!isJsonObject(mentions)) throw badJson('m.mentions must be an object')
  const { user_ids: userIds, room } = mentions
  const isList = Array.isArray(userIds) && userIds.every((userId) => typeof userId === 'string')
  if (userIds !== undefined && !isList) throw badJson('m.mentions.user_ids must be a list of user IDs')
  if (room !== undefined && typeof room !== 'boolean') throw badJson('m.mentions.room must be a boolean')
}

function requireText(content: JsonObject, key: string): void {
  if (typeof content[key] !== 'string') throw badJson(`${key} must be a string`)
}

function isSet(value: JsonValue | undefined): boolean {
  return value !== undefined && value !== null
}
