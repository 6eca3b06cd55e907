import type { Event } from '../../src/protocol/event.js'
import { stateKeyOf } from '../../src/protocol/state-map.js'
import type { Bench, Figures } from '../bench.js'
import { Arrivals } from '../federation/arrivals.js'
import type { FederatedServer, FederatedServers } from '../federation/federated-servers.js'
import { makeLargeRoom } from '../federation/large-room.js'
import type { Session } from '../client.js'
import { messageContent, pduOf, type Branch, type Participant } from '../federation/scripted-room.js'

/** State events of each side. */
const CHANGES = 100
/** Of these, every so many changes the power levels; the others are bans. */
const POWER_EVERY = 10
const TRANSACTION_EVENTS = 50
const POWER_LEVELS = stateKeyOf('m.room.power_levels', '')

/**
 * A large room falls apart: on either side of it an administrator bans members and changes power levels. The server that
 * is measured learns of both sides, event by event in turns, and then of the message that follows both.
 */
export async function measureFederatedForks(bench: Bench, servers: FederatedServers): Promise<Figures> {
  const { members: count, remoteEvents: events } = bench.sizes
  const { room, members, resident } = await makeLargeRoom(servers, { members: count, events })
  resident.serve(room.handler({ omitsMembers: false }))
  const server = await servers.start()
  const session = await server.client.register('newcomer')
  await session.join(room.roomId, resident.serverName)
  const arrivals = await Arrivals.begin(session)
  const half = Math.floor(members.length / 2)
  const sides = room.admins.map((admin, side) =>
    quarrel(room.joined.fork(), admin, members.slice(side * half, (side + 1) * half)),
  )
  const cpuBefore = await server.process.cpuSeconds()
  const start = performance.now()
  await Promise.all(sides.map((side) => tell(server, side)))
  const ends = await Promise.all(sides.map(({ branch }) => arrivals.of(branch.ends[0]!.eventId)))
  const seconds = (Math.max(...ends) - start) / 1000
  const cpu = (await server.process.cpuSeconds()) - cpuBefore
  const heal = { type: 'm.room.message', content: messageContent(0) }
  const { admin, branch } = sides[0]!
  const merge = branch.merge(sides[1]!.branch.ends).send(admin, heal)
  const healing = performance.now()
  await admin.peer.sendTransaction(server.serverName, { pdus: [pduOf(merge)] })
  const healed = await arrivals.of(merge.eventId)
  const banned = sides.reduce((sum, side) => sum + side.bans, 0)
  // The administrators and the newcomer are members too.
  await expectMembers(session, room.roomId, members.length + 3 - banned)
  await arrivals.end(() => session.send(room.roomId, 'The end'))
  const title = `two forks of a remote room of ${members.length + 2}`
  const total = sides.reduce((sum, side) => sum + side.events.length, 0)
  return {
    [`${title}: ${total} bans and changes of power, events/s`]: total / seconds,
    [`${title}: ms of CPU per event`]: (cpu * 1000) / total,
    [`${title}: until the event that heals it, ms`]: healed - healing,
    [`${title}: memory at most, MB`]: await server.process.peakMb(),
  }
}

/** What happens on one side of a fork. */
interface Side {
  readonly admin: Participant
  readonly branch: Branch
  readonly events: readonly Event[]
  readonly bans: number
}

async function tell({ serverName }: FederatedServer, { admin, events }: Side): Promise<void> {
  for (let index = 0; index < events.length; index += TRANSACTION_EVENTS) {
    const pdus = events.slice(index, index + TRANSACTION_EVENTS).map(pduOf)
    await admin.peer.sendTransaction(serverName, { pdus })
  }
}

/** Bans and power levels, and a message at the end. */
function quarrel(branch: Branch, admin: Participant, victims: readonly Participant[]): Side {
  const events: Event[] = []
  const levels = branch.state.get(POWER_LEVELS)!.content
  let bans = 0
  for (let change = 1; change <= CHANGES; change++) {
    const isPower = change % POWER_EVERY === 0 || bans === victims.length
    const draft = isPower
      ? {
          type: 'm.room.power_levels',
          stateKey: '',
          content: { ...levels, events: { 'm.room.topic': change % 100 } },
        }
      : { type: 'm.room.member', stateKey: victims[bans++]!.userId, content: { membership: 'ban' } }
    events.push(branch.send(admin, draft))
  }
  events.push(branch.send(admin, { type: 'm.room.message', content: messageContent(CHANGES) }))
  return { admin, branch, events, bans }
}

async function expectMembers(session: Session, roomId: string, expected: number): Promise<void> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/joined_members`
  const { joined } = await session.request<{ joined: object }>('GET', path)
  const found = Object.keys(joined).length
  if (found !== expected) throw new Error(`The room has ${found} members where there should be ${expected}`)
}
