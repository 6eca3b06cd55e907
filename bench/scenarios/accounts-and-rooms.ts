import type { Bench } from '../bench.js'
import type { BenchClient, Session } from '../client.js'
import { latencies, type Latencies } from '../statistics.js'

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

/** Joins of further members to the large room, and the initial sync of one of them. */
export async function measureLargeRoom(
  bench: Bench,
  joins: number,
): Promise<{ members: number; join: Latencies; fillPerSecond: number; initialSyncMs: number }> {
  const { roomId, filledPerSecond } = await bench.largeRoom()
  const newcomers: Session[] = []
  for (let index = 0; index < joins; index++) {
    newcomers.push(await bench.client.register(bench.name(`late${index}`)))
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
    members: bench.sizes.members,
    join: latencies(times),
    fillPerSecond: filledPerSecond,
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
