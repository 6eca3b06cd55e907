import type { UserId } from '../../src/protocol/ids.js'
import type { FederatedServers } from './federated-servers.js'
import type { Peer } from './peer.js'
import { ScriptedRoom, type Participant } from './scripted-room.js'

/** A room of many servers, and who is in it. */
export interface LargeRemoteRoom {
  readonly room: ScriptedRoom
  /** All but the two administrators. */
  readonly members: readonly Participant[]
  /** Of the creator: who comes in does so through it. */
  readonly resident: Peer
}

/** Servers that the members are of. */
const PEERS = 100
/** Of the events that are no joins, every so many changes a member's name. */
const RENAME_EVERY = 10

/**
 * Makes a room with so many members of a hundred servers and so many events: joins, messages between them, and changed
 * names, all signed. Two administrators are from different servers.
 */
export async function makeLargeRoom(
  servers: FederatedServers,
  { members: count, events }: { readonly members: number; readonly events: number },
): Promise<LargeRemoteRoom> {
  const peers: Peer[] = []
  for (let index = 0; index < PEERS; index++) peers.push(await servers.peer())
  const admin = participant(peers[0]!, 'admin')
  const room = new ScriptedRoom('large', [admin, participant(peers[1]!, 'admin')])
  const members: Participant[] = []
  const others = Math.max(0, events - count - room.size)
  let said = 0
  for (let index = 0; index < count - 2; index++) {
    const member = participant(peers[index % PEERS]!, `member${index}`)
    members.push(member)
    room.join(member)
    for (; said < (others * (index + 1)) / (count - 2); said++) {
      const speaker = members[(said * 7919) % members.length]!
      if (said % RENAME_EVERY === 0) room.join(speaker, `Called ${said}`)
      else room.say(speaker)
    }
  }
  room.say(admin)
  return { room, members, resident: peers[0]! }
}

export function participant(peer: Peer, name: string): Participant {
  return { peer, userId: `@${name}:${peer.serverName}` as UserId }
}
