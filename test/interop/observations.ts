import { isJsonObject, type JsonObject, type JsonValue } from '../../src/util/json.js'
import { dig, path, type MatrixClient } from '../support/matrix-client.js'
import type { Household } from './synapse-household.js'

/** What a server says to those who live on it, without what may differ between servers. */
export interface Observed {
  /** By room, newest first: type, sender, content, state key of all events. */
  readonly messages: Readonly<Record<string, JsonValue[]>>
  readonly states: Readonly<Record<string, JsonValue[]>>
  readonly members: Readonly<Record<string, JsonValue>>
  readonly syncedRooms: JsonValue
  readonly accountData: JsonValue
  readonly profile: JsonValue
  readonly devices: JsonValue
  readonly keys: JsonValue
  readonly backup: JsonValue
  readonly pushRules: JsonValue
  readonly pushers: JsonValue
  readonly filter: JsonValue
  readonly alias: JsonValue
  readonly thread: JsonValue
  readonly directory: JsonValue
  readonly unread: JsonValue
  /** A token in the middle of each room's history, and what is older. */
  readonly pageTokens: Readonly<Record<string, string>>
  readonly olderPages: Readonly<Record<string, JsonValue[]>>
}

type Watched = Pick<
  Household,
  | 'alice'
  | 'bob'
  | 'rooms'
  | 'leftRoom'
  | 'invitedTo'
  | 'alias'
  | 'thread'
  | 'filterId'
  | 'backupVersion'
  | 'readEvent'
>

/** Asks a server for all that Alice and Bob see. */
export async function observe(household: Watched): Promise<Observed> {
  const { alice, bob } = household
  const rooms = [...household.rooms.values(), household.invitedTo]
  const histories = await eachOf([...rooms, household.leftRoom], (roomId) => historyOf(alice, roomId))
  const pages = await eachOf(rooms, (roomId) => pageOf(alice, roomId))
  const bobs = await bob.sync()
  const alices = await alice.sync({ filter: household.filterId })
  const user = path`/_matrix/client/v3/user/${alice.userId}`
  const roomId = household.thread.roomId
  return {
    messages: histories,
    states: await eachOf(rooms, async (id) => sorted(await stateOf(alice, id))),
    members: await eachOf(rooms, (id) =>
      alice.must('GET', path`/_matrix/client/v3/rooms/${id}/joined_members`),
    ),
    syncedRooms: {
      alice: Object.keys((dig(alices, 'rooms', 'join') as JsonObject | undefined) ?? {}).sort(),
      bob: Object.keys((dig(bobs, 'rooms', 'join') as JsonObject | undefined) ?? {}).sort(),
      bobInvited: sorted(
        (dig(bobs, 'rooms', 'invite', household.invitedTo, 'invite_state', 'events') as JsonValue[]).map(
          (event) => pick(event, ['type', 'sender', 'state_key', 'content']),
        ),
      ),
    },
    accountData: {
      direct: await alice.must('GET', `${user}/account_data/m.direct`),
      tags: await alice.must('GET', path`/_matrix/client/v3/user/${alice.userId}/rooms/${roomId}/tags`),
      fullyRead: await bob.must(
        'GET',
        path`/_matrix/client/v3/user/${bob.userId}/rooms/${household.readEvent.roomId}/account_data/m.fully_read`,
      ),
    },
    profile: await bob.must('GET', path`/_matrix/client/v3/profile/${alice.userId}`),
    devices: sorted(
      ((await alice.must('GET', '/_matrix/client/v3/devices'))['devices'] as JsonValue[]).map((device) =>
        pick(device, ['device_id', 'display_name']),
      ),
    ),
    keys: withoutUnsigned(
      await bob.must('POST', '/_matrix/client/v3/keys/query', {
        body: { device_keys: { [alice.userId]: [] } },
      }),
    ),
    backup: [
      withoutEtag(await alice.must('GET', '/_matrix/client/v3/room_keys/version')),
      await alice.must('GET', '/_matrix/client/v3/room_keys/keys', {
        query: { version: household.backupVersion },
      }),
    ],
    pushRules: await ownRulesOf(alice),
    pushers: ((await alice.must('GET', '/_matrix/client/v3/pushers'))['pushers'] as JsonValue[]).map(
      (pusher) => pick(pusher, ['kind', 'app_id', 'pushkey', 'app_display_name', 'lang', 'data']),
    ),
    filter: await alice.must('GET', `${user}/filter/${household.filterId}`),
    alias: pick(await bob.must('GET', path`/_matrix/client/v3/directory/room/${household.alias}`), [
      'room_id',
    ]),
    thread: (
      (
        await alice.must(
          'GET',
          path`/_matrix/client/v1/rooms/${roomId}/relations/${household.thread.rootId}/m.thread`,
        )
      )['chunk'] as JsonValue[]
    ).map((event) => pick(event, ['event_id'])),
    directory: ((await bob.must('GET', '/_matrix/client/v3/publicRooms'))['chunk'] as JsonValue[]).map(
      (room) => pick(room, ['room_id', 'name', 'num_joined_members', 'canonical_alias']),
    ),
    unread: dig(bobs, 'rooms', 'join', household.readEvent.roomId, 'unread_notifications') ?? null,
    pageTokens: Object.fromEntries(Object.entries(pages).map(([id, page]) => [id, page.token])),
    olderPages: Object.fromEntries(Object.entries(pages).map(([id, page]) => [id, page.older])),
  }
}

async function eachOf<T>(
  ids: readonly string[],
  ask: (id: string) => Promise<T>,
): Promise<Record<string, T>> {
  const answers: Record<string, T> = {}
  for (const id of ids) answers[id] = await ask(id)
  return answers
}

async function historyOf(client: MatrixClient, roomId: string): Promise<JsonValue[]> {
  const { chunk } = await client.messages(roomId, { dir: 'b', limit: 100 })
  return (chunk as JsonValue[]).map((event) =>
    pick(event, ['event_id', 'type', 'sender', 'state_key', 'content', 'origin_server_ts']),
  )
}

/** A token five events from the end, and what comes before it. */
async function pageOf(client: MatrixClient, roomId: string): Promise<{ token: string; older: JsonValue[] }> {
  const first = await client.messages(roomId, { dir: 'b', limit: 5 })
  const token = textOf(first['end'])
  const { chunk } = await client.messages(roomId, { dir: 'b', limit: 100, from: token })
  return { token, older: (chunk as JsonObject[]).map((event) => event['event_id'] ?? null) }
}

async function stateOf(client: MatrixClient, roomId: string): Promise<JsonValue[]> {
  const { text } = await client.request('GET', path`/_matrix/client/v3/rooms/${roomId}/state`)
  return (JSON.parse(text) as JsonValue[]).map((event) =>
    pick(event, ['event_id', 'type', 'sender', 'state_key', 'content']),
  )
}

async function ownRulesOf(client: MatrixClient): Promise<JsonValue> {
  const rules = await client.must('GET', '/_matrix/client/v3/pushrules/')
  const override = (dig(rules, 'global', 'override') as JsonObject[]).find(
    (rule) => rule['rule_id'] === '.m.rule.master',
  )
  const content = (dig(rules, 'global', 'content') as JsonObject[]).find(
    (rule) => rule['rule_id'] === 'cheese',
  )
  return [override?.['enabled'] ?? null, content ?? null]
}

function pick(value: JsonValue | undefined, keys: readonly string[]): JsonObject {
  if (!isJsonObject(value)) return {}
  return Object.fromEntries(keys.flatMap((key) => (value[key] === undefined ? [] : [[key, value[key]]])))
}

function sorted(values: JsonValue[]): JsonValue[] {
  return [...values].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

/** Without what this or that server adds beside the keys. */
function withoutUnsigned(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(withoutUnsigned)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'unsigned' && key !== 'failures')
      .map(([key, part]) => [key, withoutUnsigned(part)]),
  )
}

/** Servers count changes of backups in their own ways. */
function withoutEtag({ etag: _etag, ...rest }: JsonObject): JsonObject {
  return rest
}

function textOf(value: JsonValue | undefined): string {
  if (typeof value !== 'string') throw new Error('No text')
  return value
}
