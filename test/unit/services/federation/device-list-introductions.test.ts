import { expect } from 'chai'
import type { DeviceId, ServerName, UserId } from '../../../../src/protocol/ids.js'
import { DeviceListIntroductions } from '../../../../src/services/federation/device-list-introductions.js'
import type { Database } from '../../../../src/storage/database.js'

const ALICE = '@alice:hs.test' as UserId
const ROOM = 1
const OTHER_ROOM = 2

interface Scene {
  /** The servers in rooms. */
  readonly rooms: Record<number, string[]>
  /** The user's devices, and whether they have keys. */
  readonly devices?: Record<string, boolean>
  readonly isCrossSigned?: boolean
}

/** Introductions among rooms whose servers are told by name; `introduced` has a user's devices for each time. */
function create({ rooms, devices = { PHONE: true, BOT: false }, isCrossSigned = false }: Scene): {
  introductions: DeviceListIntroductions
  introduced: string[][]
  complete: (roomNid: number) => Promise<void>
  change: (deviceId: string) => void
  partial: Set<number>
} {
  const introduced: string[][] = []
  const partial = new Set<number>()
  const changes: string[] = []
  const db = { reader: {}, write: (_name: string, write: (tx: unknown) => unknown) => write({}) }
  const introductions = new DeviceListIntroductions({
    db: db as unknown as Database,
    store: {
      listJoinedRooms: (_q, users) =>
        Promise.resolve(new Map(users.map((userId) => [userId, Object.keys(rooms).map(Number)]))),
    },
    audience: {
      serversInRooms: (nids) =>
        Promise.resolve(new Map([...nids].map((nid) => [nid, new Set((rooms[nid] ?? []) as ServerName[])]))),
    },
    devices: {
      list: () => Promise.resolve(Object.keys(devices).map((deviceId) => ({ deviceId })) as never),
      recordChange: (_tx, _userId, deviceIds) => {
        if (deviceIds.length > 0) introduced.push([...deviceIds])
        return Promise.resolve()
      },
    },
    deviceStore: {
      listChangedSince: (_q, _users, after) =>
        Promise.resolve(
          changes.slice(after).map((deviceId) => ({ userId: ALICE, deviceId: deviceId as DeviceId })),
        ),
    },
    localKeys: {
      describe: (users) => {
        const described = Object.entries(devices).map(([deviceId, hasKeys]): [DeviceId, never] => [
          deviceId as DeviceId,
          { keys: hasKeys ? {} : undefined, displayName: undefined } as never,
        ])
        const keys = { devices: new Map(described), master: isCrossSigned ? {} : undefined }
        return Promise.resolve(new Map(users.map((userId) => [userId, { ...keys, selfSigning: undefined }])))
      },
    },
    crossSigning: { isSetUp: () => Promise.resolve(isCrossSigned) },
    members: { sampleLocalMembers: () => Promise.resolve([ALICE]) },
    partialRooms: { isPartial: (roomNid) => partial.has(roomNid) },
    deviceListStream: { position: () => changes.length },
    onError: (error) => {
      throw error
    },
  })
  const complete = async (roomNid: number): Promise<void> => {
    partial.delete(roomNid)
    await introductions.onMembersKnown([roomNid])
  }
  return { introductions, introduced, complete, change: (deviceId) => changes.push(deviceId), partial }
}

describe('DeviceListIntroductions', () => {
  it('makes devices known where a server is new to the user', async () => {
    const rooms = { [ROOM]: ['a.test', 'b.test'], [OTHER_ROOM]: ['a.test'] }
    const { introductions, introduced } = create({ rooms })
    await introductions.onJoined(ALICE, { roomNid: ROOM })
    expect(introduced).to.deep.equal([['PHONE', 'BOT']])
    await introductions.onJoined(ALICE, { roomNid: OTHER_ROOM })
    expect(introduced).to.have.length(1)
  })

  it('waits for the members of a room, and then tells of what has keys', async () => {
    const scene = create({ rooms: { [ROOM]: ['a.test'] }, isCrossSigned: true })
    scene.partial.add(ROOM)
    await scene.introductions.onJoined(ALICE, { roomNid: ROOM })
    expect(scene.introduced).to.deep.equal([])
    await scene.complete(ROOM)
    expect(scene.introduced).to.deep.equal([['PHONE', '']])
  })

  it('tells of nothing where no device has keys', async () => {
    const scene = create({ rooms: { [ROOM]: ['a.test'] }, devices: { BOT: false } })
    scene.partial.add(ROOM)
    await scene.introductions.onJoined(ALICE, { roomNid: ROOM })
    await scene.complete(ROOM)
    expect(scene.introduced).to.deep.equal([])
  })

  it('tells again what changed while the members were not known, and nothing from before', async () => {
    const rooms = { [ROOM]: ['a.test'], [OTHER_ROOM]: ['a.test'] }
    const scene = create({ rooms })
    scene.change('BOT')
    scene.partial.add(ROOM)
    await scene.introductions.onJoined(ALICE, { roomNid: ROOM })
    scene.change('PHONE')
    await scene.complete(ROOM)
    expect(scene.introduced).to.deep.equal([['PHONE']])
  })

  it('tells of what has keys when a room is whole that was joined before the start', async () => {
    const { introduced, complete } = create({ rooms: { [ROOM]: ['a.test'] } })
    await complete(ROOM)
    expect(introduced).to.deep.equal([['PHONE']])
  })
})
