import type { Bench, Figures } from '../bench.js'
import type { FederatedServers } from '../federation/federated-servers.js'
import { makeLargeRoom, type LargeRemoteRoom } from '../federation/large-room.js'

/** Joins of a large room of other servers, by fresh servers: one that is told of the members later, and one at once. */
export async function measureFederatedJoins(bench: Bench, servers: FederatedServers): Promise<Figures> {
  const { members, remoteEvents: events } = bench.sizes
  const large = await makeLargeRoom(servers, { members, events })
  return {
    ...(await measureJoin(servers, large, { omitsMembers: true })),
    ...(await measureJoin(servers, large, { omitsMembers: false })),
  }
}

async function measureJoin(
  servers: FederatedServers,
  { room, members, resident }: LargeRemoteRoom,
  { omitsMembers }: { readonly omitsMembers: boolean },
): Promise<Figures> {
  resident.serve(room.handler({ omitsMembers }))
  const server = await servers.start()
  const session = await server.client.register('newcomer')
  const cpuBefore = await server.process.cpuSeconds()
  const start = performance.now()
  await session.join(room.roomId, resident.serverName)
  const joined = performance.now()
  await session.send(room.roomId, 'Hello')
  const sent = performance.now()
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room.roomId)}/joined_members`
  const answer = await session.request<{ joined: object }>('GET', path)
  const whole = performance.now()
  // The administrators and the newcomer are members too.
  const [expected, found] = [members.length + 3, Object.keys(answer.joined).length]
  if (found !== expected) throw new Error(`The room has ${found} members where there should be ${expected}`)
  const title = `join of a remote room of ${members.length + 2}, ${omitsMembers ? 'members later' : 'all at once'}`
  const cpu = (await server.process.cpuSeconds()) - cpuBefore
  const peakMb = await server.process.peakMb()
  await servers.end(server)
  return {
    [`${title}: until joined, ms`]: joined - start,
    [`${title}: until something is sent, ms`]: sent - start,
    [`${title}: until all members are known, ms`]: whole - start,
    [`${title}: until then, s of CPU`]: cpu,
    [`${title}: memory at most, MB`]: peakMb,
  }
}
