import type { Event } from '../../src/protocol/event.js'
import type { JsonObject } from '../../src/util/json.js'
import type { Bench, Figures } from '../bench.js'
import { Arrivals } from '../federation/arrivals.js'
import type { FederatedServer, FederatedServers } from '../federation/federated-servers.js'
import { participant } from '../federation/large-room.js'
import type { Peer } from '../federation/peer.js'
import {
  messageContent,
  pduOf,
  ScriptedRoom,
  type Branch,
  type Participant,
} from '../federation/scripted-room.js'

/** Servers that talk in the same room. */
const PEERS_PER_ROOM = 10
/** Members that each of them has there. */
const MEMBERS_PER_PEER = 20
/** Events of each transaction. */
const EVENTS = 5

/** One server's turn in a round: what it says follows all that was said in the round before. */
interface Turn {
  readonly peer: Peer
  readonly events: readonly Event[]
  readonly edus: readonly JsonObject[]
}

interface BusyRoom {
  readonly room: ScriptedRoom
  readonly rounds: readonly (readonly Turn[])[]
  /** Follows all of them. */
  readonly last: Event
}

/**
 * Transactions of many servers at the same time, each with a few messages and somebody typing. In every room ten servers
 * talk at once, so that it forks and heals from round to round; no server begins a round before the last has been taken.
 */
export async function measureInboundTransactions(bench: Bench, servers: FederatedServers): Promise<Figures> {
  const { origins, transactions } = bench.sizes
  const server = await servers.start()
  const session = await server.client.register('reader')
  const rooms: BusyRoom[] = []
  for (let index = 0; index < Math.ceil(origins / PEERS_PER_ROOM); index++) {
    const peers: Peer[] = []
    for (let peer = 0; peer < PEERS_PER_ROOM; peer++) peers.push(await servers.peer())
    const room = makeRoom(`busy${index}`, peers)
    peers[0]!.serve(room.handler({ omitsMembers: false }))
    await session.join(room.roomId, peers[0]!.serverName)
    rooms.push(prepare(room, peers, Math.ceil(transactions / origins)))
  }
  const arrivals = await Arrivals.begin(session)
  const cpuBefore = await server.process.cpuSeconds()
  const start = performance.now()
  await Promise.all(rooms.map((busy) => talk(server, busy)))
  const answered = performance.now()
  const ends = await Promise.all(rooms.map(({ last }) => arrivals.of(last.eventId)))
  const seconds = (Math.max(...ends) - start) / 1000
  const cpu = (await server.process.cpuSeconds()) - cpuBefore
  await arrivals.end(() => session.send(rooms[0]!.room.roomId, 'The end'))
  const turns = rooms.flatMap(({ rounds }) => rounds.flat())
  const events = turns.reduce((sum, turn) => sum + turn.events.length, rooms.length)
  const title = `${turns.length} transactions of ${rooms.length * PEERS_PER_ROOM} servers`
  return {
    [`${title}: answered, per s`]: turns.length / ((answered - start) / 1000),
    [`${title}: until all can be read, s`]: seconds,
    [`${title}: events/s`]: events / seconds,
    [`${title}: ms of CPU per event`]: (cpu * 1000) / events,
    [`${title}: memory at most, MB`]: await server.process.peakMb(),
  }
}

async function talk({ serverName }: FederatedServer, { room, rounds, last }: BusyRoom): Promise<void> {
  for (const round of rounds) {
    await Promise.all(
      round.map(({ peer, events, edus }) =>
        peer.sendTransaction(serverName, { pdus: events.map(pduOf), edus }),
      ),
    )
  }
  await room.admins[0]!.peer.sendTransaction(serverName, { pdus: [pduOf(last)] })
}

function makeRoom(name: string, peers: readonly Peer[]): ScriptedRoom {
  const room = new ScriptedRoom(name, [participant(peers[0]!, 'admin')])
  for (const peer of peers) {
    for (let member = 0; member < MEMBERS_PER_PEER; member++) room.join(participant(peer, `member${member}`))
  }
  return room
}

/** Makes and signs beforehand what will be said. */
function prepare(room: ScriptedRoom, peers: readonly Peer[], count: number): BusyRoom {
  const rounds: Turn[][] = []
  let before: Branch = room.joined
  for (let round = 0; round < count; round++) {
    const branches = peers.map(() => before.fork())
    rounds.push(peers.map((peer, index) => takeTurn(room, branches[index]!, { peer, round })))
    const [first, ...others] = branches
    before = first!.merge(others.flatMap(({ ends }) => ends))
  }
  return { room, rounds, last: before.send(room.admins[0]!, message(count)) }
}

function takeTurn(
  room: ScriptedRoom,
  branch: Branch,
  { peer, round }: { readonly peer: Peer; readonly round: number },
): Turn {
  const speaker: Participant = participant(peer, `member${round % MEMBERS_PER_PEER}`)
  const events = Array.from({ length: EVENTS }, (_, index) => branch.send(speaker, message(index)))
  const content = { room_id: room.roomId, user_id: speaker.userId, typing: round % 2 === 0 }
  return { peer, events, edus: [{ edu_type: 'm.typing', content }] }
}

function message(index: number): { type: string; content: JsonObject } {
  return { type: 'm.room.message', content: messageContent(index) }
}
