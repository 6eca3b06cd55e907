import type { BenchClient } from '../client.js'
import { inParallel, latencies, type Latencies } from '../statistics.js'

/** Logins one after the other. */
export async function measureLogin(
  client: BenchClient,
  load: { count: number; name: string },
): Promise<Latencies> {
  await client.register(`${load.name}user`)
  return latencies(await timed(load.count, () => client.login(`${load.name}user`)))
}

/** Rooms created one after the other. */
export async function measureCreateRoom(
  client: BenchClient,
  load: { count: number; name: string },
): Promise<Latencies> {
  const session = await client.register(`${load.name}user`)
  return latencies(
    await timed(load.count, () => session.createRoom({ preset: 'private_chat', name: 'Bench' })),
  )
}

/** Builds a room with many members, then measures joins of further ones, and the initial sync of a member. */
export async function measureLargeRoom(
  client: BenchClient,
  load: { members: number; joins: number; name: string },
): Promise<{ members: number; join: Latencies; fillPerSecond: number; initialSyncMs: number }> {
  const owner = await client.register(`${load.name}owner`)
  const roomId = await owner.createRoom()
  const joinOne = async (index: number): Promise<void> => {
    const session = await client.register(`${load.name}m${index}`)
    await session.join(roomId)
  }
  const start = performance.now()
  await inParallel(load.members - 1, 20, joinOne)
  const fillPerSecond = load.members / ((performance.now() - start) / 1000)
  const newcomers = []
  for (let index = 0; index < load.joins; index++) {
    newcomers.push(await client.register(`${load.name}late${index}`))
  }
  const times: number[] = []
  for (const newcomer of newcomers) {
    const before = performance.now()
    await newcomer.join(roomId)
    times.push(performance.now() - before)
  }
  const beforeSync = performance.now()
  await newcomers[0]!.sync()
  return {
    members: load.members,
    join: latencies(times),
    fillPerSecond,
    initialSyncMs: performance.now() - beforeSync,
  }
}

async function timed(count: number, work: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  for (let round = 0; round < count; round++) {
    const start = performance.now()
    await work()
    times.push(performance.now() - start)
  }
  return times
}
